//! `GET /api/runs/{id}/events`: the log of a run, as a stream or by page.

use http::{HeaderMap, StatusCode, header};
use sequent_conversation::Error;
use sequent_core::{Code, RunId};
use sequent_event::{Event, Seq};
use sequent_http::{
    Caller, Json, Path, Problem, Query, RequestContext,
    axum::{
        extract::State,
        response::{IntoResponse, Response},
    },
    openapi::Problems,
};
use sequent_protocol::native;
use sequent_runlog::{DynamoStorage, LogKey, Segment, Storage, page};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    App,
    frame_schema::RunEvent,
    stream::{Native, Watched, stream_response},
};

/// The query of `GET /api/runs/{id}/events`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Start after the event with this `seq`. `Last-Event-ID` takes precedence.
    #[serde(default)]
    #[param(pattern = "^[0-9]+$")]
    after: Option<String>,
    /// Most events of a page; 100 if not given.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: EventLimit,
}

/// The number of events of a page: 1 to 1000.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "usize")]
pub(crate) struct EventLimit(usize);

impl EventLimit {
    pub(crate) const fn get(self) -> usize {
        self.0
    }
}

impl Default for EventLimit {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<usize> for EventLimit {
    type Error = &'static str;

    fn try_from(number: usize) -> Result<Self, Self::Error> {
        (1..=1000).contains(&number).then_some(Self(number)).ok_or("must be 1 to 1000")
    }
}

/// A page of a run's log.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventPage {
    /// The events in order.
    #[schema(value_type = Vec<RunEvent>)]
    events: Vec<Event>,
    /// `after` of the next page. Null if the log has no more events yet.
    #[schema(value_type = Option<u64>)]
    next_after: Option<Seq>,
}

/// Follow a run.
///
/// As `text/event-stream`, the log after the cursor until the run ends: `id` is the event's `seq`. At the end of a
/// finished run the response is 204. With `Accept: application/json`, one page of the log. A client that follows a run
/// whose process died has it executed further. When the session or the API key ends, the stream ends with
/// `event: problem`, whose data is the problem of the 401 that the next request gets.
#[utoipa::path(
    get,
    path = "/api/runs/{id}/events",
    operation_id = "follow_run",
    tag = "chat",
    params(
        ("id" = RunId, Path, description = "The run."),
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, pattern = "^[0-9]*$", description = "`seq` of the last event received. An empty value means none."),
    ),
    responses(
        (status = 200, description = "The events.", content((EventPage = "application/json"), (RunEvent = "text/event-stream"))),
        (status = 204, description = "The run has ended and the caller has received everything."),
        Problems,
    ),
)]
pub(crate) async fn events(
    State(app): State<App>,
    Caller(caller): Caller,
    context: RequestContext,
    Path(run): Path<RunId>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = cursor(&headers, query.after.as_deref())?;
    let row = app.runs_of(&caller).get_for_caller(run).await?;
    let key = LogKey { tenant: caller.tenant, run };
    let storage = &app.engine.storage;
    if wants_json(&headers) {
        let (events, more) =
            page(storage, key, after, query.limit.get()).await.map_err(Problem::unavailable)?;
        if events.is_empty() {
            check_cursor(after, last(storage, key).await?.last())?;
        }
        let next_after = events.last().filter(|_| more).map(|event| event.seq);
        return Ok(Json(EventPage { events, next_after }).into_response());
    }
    let tail = last(storage, key).await?;
    check_cursor(after, tail.last())?;
    if after == tail.last() && tail.leaves_closed() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let watched = Watched::elsewhere(key, row.project_id, after);
    stream_response(&app, &context, watched, Native).await
}

/// Reads the last segment of the log.
async fn last(storage: &DynamoStorage, key: LogKey) -> Result<Segment, Problem> {
    let tail = storage.tail(key).await.map_err(Problem::unavailable)?;
    Ok(tail.ok_or(Error::RunNotFound)?)
}

/// Refuses a position after the `last` event of a log: no client can have received an event from there.
pub(crate) fn check_cursor(after: Seq, last: Seq) -> Result<(), Problem> {
    if after <= last {
        return Ok(());
    }
    let detail =
        "The cursor is after the last event of the run. Use the `seq` of an event that was received.";
    Err(Problem::new(Code::InvalidCursor, detail).with("last", last.0))
}

pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains("text/event-stream")
}

/// Returns the cursor that the client sends when it reconnects. An empty one is none: the client has received no event
/// with an id, and some clients send the header even so.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get("last-event-id")?;
    Some(value.to_str().unwrap_or("?")).filter(|text| !text.is_empty())
}

/// Reads the cursor of a native stream. The header, which a browser sends on its own, takes precedence over the query.
pub(crate) fn cursor(headers: &HeaderMap, after: Option<&str>) -> Result<Seq, Problem> {
    let (name, text) = match (last_event_id(headers), after) {
        (Some(text), _) => ("Last-Event-ID", text),
        (None, Some(text)) => ("after", text),
        (None, None) => return Ok(Seq::START),
    };
    native::parse_cursor(text).map_err(|error| {
        Problem::new(Code::InvalidCursor, error.to_string()).at_parameter(name, "must be a whole number")
    })
}
