//! Feedback on runs and on their answers.

use insta::assert_snapshot;

use super::answer;

#[tokio::test]
async fn a_run_is_rated() {
    assert_snapshot!(answer("feedback").await, @r#"
    200 application/json
    {
      "run_id": "run_1",
      "message_id": null,
      "agent": null,
      "user_id": "usr_1",
      "thumb": "up",
      "scores": {
        "helpful": 0.75
      },
      "comment": "Right about the tides.",
      "updated_at": "[time]"
    }
    "#);
}

#[tokio::test]
async fn feedback_without_content_is_refused() {
    assert_snapshot!(answer("feedback-empty").await, @r#"
    422 application/problem+json
    {
      "type": "/api/errors#validation_failed",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "validation_failed",
      "detail": "The feedback is not allowed: feedback has a thumb, a score or a comment.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn an_answer_of_another_run_is_not_rated() {
    assert_snapshot!(answer("feedback-answer").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#not_found",
      "title": "Not Found",
      "status": 404,
      "code": "not_found",
      "detail": "The run has no answer with this id.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn removing_feedback_can_be_repeated() {
    for case in ["feedback-remove", "feedback-answer-remove"] {
        assert!(answer(case).await.starts_with("204"), "{case}");
    }
}
