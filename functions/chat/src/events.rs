//! `GET /api/runs/{id}/events`: a run's log, followed or by page.

use http::{HeaderMap, StatusCode, header};
use sequent_agent::{Engine, Source};
use sequent_core::RunId;
use sequent_event::{Event, Seq};
use sequent_http::{
    Caller, Exchange, Json, Path, Problem, Query, Scope,
    axum::{
        extract::State,
        response::{IntoResponse, Response},
    },
    openapi::Problems,
};
use sequent_protocol::native;
use sequent_runlog::{LogKey, Storage, page};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    begin::find,
    stream::{Native, Watched, respond},
};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// Where to start, and how much.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Start behind the event with this `seq`. `Last-Event-ID` wins over it.
    #[serde(default)]
    after: Option<String>,
    /// Events of a page, 1 to 1000.
    #[serde(default)]
    limit: Option<usize>,
}

/// A page of a run's log.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventPage {
    /// The events in order: `{seq, type, v, timestamp, ...fields of that type}`.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Event>,
    /// The `after` of the next page; null when the log has no more events yet.
    #[schema(value_type = Option<u64>)]
    next_after: Option<Seq>,
}

/// Follows a run, live or finished.
///
/// As `text/event-stream` the log from the cursor on, until the run ends: `id` is the event's `seq`. Past the end of
/// a finished run the answer is 204. With `Accept: application/json` one page of the log. A run whose process died
/// is taken over by whoever follows it.
#[utoipa::path(
    get,
    path = "/api/runs/{id}/events",
    tag = "chat",
    params(
        ("id" = RunId, Path, description = "The run."),
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "`seq` of the last event received."),
    ),
    responses(
        (status = 200, description = "The events.", content((EventPage = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "The run has ended and the caller has all of it."),
        Problems,
    ),
)]
pub(crate) async fn events(
    State(engine): State<Engine>,
    Caller(principal): Caller,
    exchange: Exchange,
    Path(run): Path<RunId>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    principal.require(Scope::RunsRead)?;
    let after = cursor(&headers, query.after.as_deref())?;
    let row = find(&engine, &principal, run).await?;
    let key = LogKey { tenant: principal.tenant, run };
    if wants_json(&headers) {
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            let problem = Problem::invalid("The limit is out of range.");
            return Err(problem.at_parameter("limit", "must be between 1 and 1000"));
        }
        let (events, more) = page(&engine.storage, key, after, limit).await.map_err(Problem::unavailable)?;
        let next_after = events.last().filter(|_| more).map(|event| event.seq);
        return Ok(Json(EventPage { events, next_after }).into_response());
    }
    let tail = engine.storage.tail(key).await.map_err(Problem::unavailable)?;
    let tail = tail.ok_or_else(|| Problem::not_found("There is no such run."))?;
    if after >= tail.last() && tail.leaves_closed() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    if after > tail.last() {
        let problem = Problem::bad_request("invalid_cursor", "The run has not come that far.");
        return Err(problem.with("last", tail.last().0));
    }
    let watched = Watched { key, project: row.project_id, after, source: Source::Elsewhere, replayed: false };
    Ok(respond(&engine, &exchange, watched, Native))
}

pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains("text/event-stream")
}

/// The cursor of a native stream: what the browser sends by itself wins over what the address says.
fn cursor(headers: &HeaderMap, after: Option<&str>) -> Result<Seq, Problem> {
    let header = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
    let (name, text) = match (header, after) {
        (Some(text), _) => ("Last-Event-ID", text),
        (None, Some(text)) => ("after", text),
        (None, None) => return Ok(Seq::START),
    };
    native::parse_cursor(text).map_err(|error| {
        Problem::bad_request("invalid_cursor", error.to_string()).at_parameter(name, "must be a whole number")
    })
}
