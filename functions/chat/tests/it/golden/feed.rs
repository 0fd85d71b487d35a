//! The feed over HTTP, by page.

use insta::assert_snapshot;

use super::{ENDED, answer_in};
use crate::deployment::Deployment;

async fn deployment() -> Deployment {
    let deployment = Deployment::with_run(ENDED).await;
    deployment.tell_feed().await;
    deployment
}

#[tokio::test]
async fn a_page_has_the_entries_of_the_types_that_were_asked_for() {
    assert_snapshot!(answer_in(&deployment().await, "feed-page").await, @r#"
    200 application/json
    {
      "entries": [
        {
          "seq": 1,
          "at": "[time]",
          "type": "run.created",
          "run_id": "run_1",
          "project_id": "prj_1",
          "user_id": "usr_1",
          "project_name": "/demo tokens=12 rate=0"
        }
      ],
      "next_after": 2,
      "has_more": false
    }
    "#);
}

#[tokio::test]
async fn a_cursor_after_the_last_entry_is_refused() {
    assert_snapshot!(answer_in(&deployment().await, "feed-after-the-end").await, @r#"
    400 application/problem+json
    {
      "type": "/api/errors#invalid_cursor",
      "title": "Bad Request",
      "status": 400,
      "code": "invalid_cursor",
      "detail": "The cursor is after the last entry of the feed. Use the `seq` of an entry that was received.",
      "instance": "req_1",
      "last": 2
    }
    "#);
}

#[tokio::test]
async fn a_type_that_no_feed_has_is_refused_with_those_that_it_has() {
    assert_snapshot!(answer_in(&deployment().await, "feed-unknown-type").await, @r#"
    400 application/problem+json
    {
      "type": "/api/errors#invalid_query",
      "title": "Bad Request",
      "status": 400,
      "code": "invalid_query",
      "detail": "A query parameter is unknown or has a value that is not allowed.",
      "instance": "req_1",
      "errors": [
        {
          "parameter": "types",
          "detail": "`run.exploded` is not a type of the feed: the types are run.created, run.started, run.interrupted, run.answered, run.ended, project.created, project.renamed, project.deleted, project.head_moved, message.added, artifact.created, job.ended, credits.low, agent.published, schedule.missed"
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn a_snapshot_has_the_live_runs_and_the_conversations() {
    assert_snapshot!(answer_in(&deployment().await, "feed-snapshot").await, @r#"
    200 application/json
    {
      "seq": 2,
      "runs": [],
      "projects": [
        {
          "id": "prj_1",
          "name": "/demo tokens=12 rate=0",
          "user_id": "usr_1",
          "created_at": "[time]",
          "updated_at": "[time]",
          "live_run_id": null,
          "head": "run_1"
        }
      ]
    }
    "#);
}
