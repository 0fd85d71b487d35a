//! `GET /api/projects/{id}/messages/stream`: a message in the address, the answer's text out, for `EventSource`.

use http::{HeaderMap, StatusCode};
use sequent_agent::{Engine, Source};
use sequent_conversation::OnConflict;
use sequent_core::ProjectId;
use sequent_event::{Event, Seq};
use sequent_http::{
    Caller, Exchange, Path, Principal, Problem, Query, Scope,
    axum::{
        extract::State,
        response::{IntoResponse, Response},
    },
    openapi::Problems,
};
use sequent_protocol::{
    simple::{Cursor, Projector},
    sse::Frame,
};
use sequent_runlog::{LogKey, Storage};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    Chat,
    begin::{Ask, Place, begin, find},
    stream::{Projection, Watched, respond},
};

/// What to ask.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SimpleQuery {
    /// What the user says.
    content: String,
    /// The model that answers; the deployment's default without.
    #[serde(default)]
    model: Option<String>,
    /// What to do when a run already answers in the project.
    #[serde(default)]
    #[param(inline)]
    on_conflict: OnConflict,
}

impl Projection for Projector {
    fn event(&mut self, event: &Event) -> Vec<Frame> {
        self.push(event)
    }
}

/// Asks and streams the answer's text.
///
/// `data: {"delta":"..."}` per piece, then `event: end` with `data: {"content":"..."}`. A browser's `EventSource`
/// reconnects by itself and continues the same run: ids name it.
#[utoipa::path(
    get,
    path = "/api/projects/{id}/messages/stream",
    tag = "chat",
    params(
        ("id" = ProjectId, Path, description = "The project."),
        SimpleQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "Sent by the browser when it reconnects."),
    ),
    responses(
        (status = 200, description = "The answer.", content_type = "text/event-stream"),
        (status = 204, description = "The run has ended and the caller has all of it."),
        Problems,
    ),
)]
pub(crate) async fn stream(
    State(chat): State<Chat>,
    Caller(principal): Caller,
    exchange: Exchange,
    Path(project): Path<ProjectId>,
    Query(query): Query<SimpleQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    principal.require(Scope::Chat)?;
    if let Some(sent) = headers.get("last-event-id") {
        let cursor = sent.to_str().ok().and_then(|text| text.parse::<Cursor>().ok());
        let cursor = cursor.ok_or_else(|| {
            Problem::bad_request("invalid_cursor", "Last-Event-ID is not one of this stream.")
        })?;
        return resume(&chat.engine, &principal, &exchange, project, cursor).await;
    }
    let ask = Ask {
        place: Place::Project(project),
        content: query.content,
        model: query.model,
        on_conflict: query.on_conflict,
        replaces: None,
        new_project: project,
        key: None,
    };
    let begun = begin(&chat, &principal, ask).await?;
    let projector = Projector::new(begun.run);
    Ok(respond(&chat.engine, &exchange, begun.watched(&principal), projector))
}

async fn resume(
    engine: &Engine,
    principal: &Principal,
    exchange: &Exchange,
    project: ProjectId,
    cursor: Cursor,
) -> Result<Response, Problem> {
    let run = find(engine, principal, cursor.run).await?;
    if run.project_id != project {
        return Err(Problem::not_found("There is no such run in this project."));
    }
    let key = LogKey { tenant: principal.tenant, run: run.id };
    let tail = engine.storage.tail(key).await.map_err(Problem::unavailable)?;
    if tail.is_none_or(|tail| tail.leaves_closed() && cursor.after >= tail.last()) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // The projection needs the whole log to know what the answer holds.
    let watched = Watched { key, project, after: Seq::START, source: Source::Elsewhere, replayed: false };
    Ok(respond(engine, exchange, watched, Projector::resume(cursor)))
}
