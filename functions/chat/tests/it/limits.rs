//! The limits of a tenant: live runs, open streams, models.

use std::time::Duration;

use http::StatusCode;
use sequent_core::{TenantId, TenantLimits};
use sequent_http::{App, testing::Event};
use sequent_model::AllowedModels;
use sequent_runlog::DynamoStorage;
use serde_json::json;

use crate::app::{app_with, event, events, frames, say, send};

async fn limited(runs: Option<u32>, streams: Option<u32>) -> App {
    let storage = DynamoStorage::new(sequent_tables::testing::store().await);
    let limits = TenantLimits { runs, streams, ..TenantLimits::uncapped() };
    app_with(storage, TenantId::new(), |credits| credits.with_limits(limits))
}

/// Repeats a request until it is not refused. A stream whose client has left is closed a moment later.
async fn until_accepted(request: &Event, app: &App) -> StatusCode {
    loop {
        let answer = request.open(app).await;
        if answer.status() != StatusCode::TOO_MANY_REQUESTS {
            return answer.status();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn abandoned_sends_hold_no_more_than_the_allowed_runs() {
    let app = limited(Some(3), None).await;
    for _ in 0..3 {
        let long = say("/demo tokens=100000 rate=1");
        assert_eq!(send(&long).open(&app).await.status(), StatusCode::OK);
    }
    let refused = send(&say("/demo tokens=1 rate=0")).send(&app).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "too_many_runs"));
    assert_eq!(refused.header("retry-after"), "5");
}

#[tokio::test]
async fn a_follower_beyond_the_limit_is_refused_and_the_run_is_not_disturbed() {
    let app = limited(None, Some(2)).await;
    let live = send(&say("/demo tokens=100000 rate=50")).open(&app).await;
    let run = live.headers()["x-run-id"].to_str().unwrap().to_owned();
    let follow = event("GET", &format!("/api/runs/{run}/events"));
    let first = follow.open(&app).await;
    let second = event("GET", &format!("/api/chat/{run}/stream")).open(&app).await;
    assert_eq!((first.status(), second.status()), (StatusCode::OK, StatusCode::OK));
    for path in [format!("/api/runs/{run}/events"), format!("/api/chat/{run}/stream")] {
        let refused = event("GET", &path).send(&app).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "too_many_streams"), "{path}");
        assert_eq!(refused.header("retry-after"), "5");
    }
    let page = follow.clone().header("accept", "application/json").send(&app).await;
    assert_eq!(page.status, StatusCode::OK, "a page holds no instance");
    let other = send(&say("/demo tokens=1 rate=0")).send(&app).await;
    assert_eq!(events(&other).last().unwrap()["outcome"]["type"], "success", "a new run is no follower");
    drop(first);
    assert_eq!(until_accepted(&follow, &app).await, StatusCode::OK);
}

#[tokio::test]
async fn a_stream_that_has_ended_counts_no_longer() {
    let app = limited(None, Some(1)).await;
    let live = send(&say("/demo tokens=3 rate=0")).send(&app).await;
    let path = format!("/api/runs/{}/events", live.header("x-run-id"));
    for _ in 0..3 {
        let replayed = event("GET", &path).send(&app).await;
        assert_eq!(frames(&replayed), frames(&live));
    }
}

#[tokio::test]
async fn a_model_that_is_not_allowed_is_refused_by_every_route_that_starts_a_run() {
    let storage = DynamoStorage::new(sequent_tables::testing::store().await);
    let allowed = AllowedModels::listed("gpt-5*");
    let app = app_with(storage, TenantId::new(), |credits| credits.with_allowed_models(allowed));
    let project = send(&say("/demo tokens=1 rate=0")).send(&app).await.header("x-project-id").to_owned();
    let message = json!({"role": "user", "content": "hi"});
    for request in [
        send(&json!({"message": {"content": "hi"}, "model": "o3"})),
        event("POST", "/api/v1/agent/chat").json(&json!({"message": "hi", "model": "o3"})),
        event("POST", "/api/chat").json(&json!({"id": "c", "message": message, "model": "o3"})),
        event("GET", &format!("/api/projects/{project}/messages/stream?content=hi&model=o3"))
            .header("sec-fetch-site", "same-origin"),
    ] {
        let refused = request.send(&app).await;
        let path = request.path();
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "model_not_allowed"), "{path}");
    }
}
