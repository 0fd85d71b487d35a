//! `GET /api/feed/snapshot`: the state that a reader of the feed begins with.

use sequent_conversation::{Project, Run};
use sequent_http::{Caller, Json, Problem, axum::extract::State, openapi::Problems};
use sequent_tables::{PageRequest, key};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;

/// Live runs of a snapshot at most, the newest.
const MOST_RUNS: usize = 200;
/// Conversations of a snapshot at most.
const MOST_PROJECTS: u32 = 50;

/// The state of a tenant at a position of its feed.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeedSnapshot {
    /// The position from which to follow the feed. Some of what follows may be in the snapshot already: apply it again.
    seq: u64,
    /// The runs that have not ended, with their open questions, newest first, at most 200.
    runs: Vec<Run>,
    /// The conversations that were created last, newest first, at most 50.
    projects: Vec<Project>,
}

/// Get what a reader of the feed begins with.
///
/// The runs that have not ended with their open questions, and the latest conversations, at least as they were at `seq`. Follow
/// `GET /api/feed` after `seq` from then on.
#[utoipa::path(
    get,
    path = "/api/feed/snapshot",
    operation_id = "get_feed_snapshot",
    tag = "feed",
    responses((status = 200, description = "The state.", body = FeedSnapshot), Problems),
)]
pub(crate) async fn get_feed_snapshot(
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<Json<FeedSnapshot>, Problem> {
    let feed = app.feed();
    // Read first: everything that the feed has told up to here was stored before, so the reads that follow find it.
    let seq = feed.head(caller.tenant).await?;
    let live = feed.live_runs(caller.tenant).await?;
    let newest = &live[live.len().saturating_sub(MOST_RUNS)..];
    let mut runs = app.runs_of(&caller).get_kept(newest).await?;
    runs.retain(|run| !run.has_ended());
    runs.sort_unstable_by_key(|run| std::cmp::Reverse(run.id));
    let request = PageRequest::new(key::projects(caller.tenant)).limit(Some(MOST_PROJECTS));
    let projects = app.engine.store().page::<Project>(&request).await?.items;
    let projects = projects.into_iter().filter(|project| !project.deleting).collect();
    Ok(Json(FeedSnapshot { seq, runs, projects }))
}
