//! Runs that are run again, whole or from one of their events.

use insta::assert_snapshot;

use super::answer;

#[tokio::test]
async fn a_run_is_run_again() {
    assert_snapshot!(answer("replay").await, @r#"
    202 application/json
    {
      "id": "run_1",
      "project_id": "prj_1",
      "user_id": "usr_1",
      "parent_run_id": null,
      "after": null,
      "replay": {
        "run_id": "run_2",
        "seq": null
      },
      "status": "pending",
      "model": "demo",
      "orchestration": "direct",
      "deliverable_type": null,
      "tools": null,
      "budget": {
        "max_steps": null,
        "max_tokens": null,
        "max_cost_micro_usd": null,
        "max_seconds": null
      },
      "scopes": null,
      "interrupts": [],
      "usage": {
        "input_tokens": 0,
        "output_tokens": 0
      },
      "cost": {
        "micro_usd": 0,
        "incomplete": false
      },
      "error": null,
      "created_at": "[time]",
      "started_at": null,
      "completed_at": null
    }
    "#);
}

#[tokio::test]
async fn a_run_is_run_again_from_an_event() {
    let shown = answer("replay-from").await;
    assert!(shown.starts_with("202 application/json"), "{shown}");
    assert!(shown.contains("\"seq\": 3\n"), "{shown}");
}

#[tokio::test]
async fn a_replay_from_another_event_is_told_the_nearest() {
    assert_snapshot!(answer("replay-from-response").await, @r##"
    422 application/problem+json
    {
      "type": "/api/errors#validation_failed",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "validation_failed",
      "detail": "The model was not about to be asked after this event. The nearest events after which it was: 3.",
      "instance": "req_1",
      "errors": [
        {
          "pointer": "#/from",
          "detail": "must be the seq of an event after which the model was about to be asked"
        }
      ],
      "nearest": [
        3
      ]
    }
    "##);
}
