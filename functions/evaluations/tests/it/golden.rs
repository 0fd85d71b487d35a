//! The golden events of this function and their responses.

use sequent_evaluations_function::openapi;
use sequent_http::testing::golden::Golden;

use crate::deployment::{Deployment, golden, golden_about};

/// Sends the event in a deployment with the agent `support`, and renders the response.
async fn answer(case: &str) -> String {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.define(&ada).await;
    let event = golden(case, &ada);
    goldens().render(&event, &deployment.send(&event).await)
}

/// Sends the event in a deployment with an evaluation of two items, and renders the response.
async fn answer_about_evaluation(case: &str) -> String {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.define(&ada).await;
    let started = deployment.evaluate(&ada).await;
    let event = golden_about(case, &ada, &started.1);
    goldens().render(&event, &deployment.send(&event).await)
}

fn goldens() -> Golden {
    Golden::new("evaluations", &openapi()).redact_member("instance")
}

#[test]
fn every_golden_event_is_tested() {
    goldens().assert_all_tested(include_str!("golden.rs"));
}

#[tokio::test]
async fn a_dataset_is_created() {
    let shown = answer("create").await;
    assert!(shown.starts_with("201 application/json"), "{shown}");
    for part in [r#""name": "tides""#, r#""items": 2"#, r#""description": null"#] {
        assert!(shown.contains(part), "{part} is missing: {shown}");
    }
}

#[tokio::test]
async fn a_blank_input_is_refused() {
    let shown = answer("create-blank-input").await;
    assert!(shown.starts_with("422") && shown.contains("#/items/0"), "{shown}");
}

#[tokio::test]
async fn empty_lists_are_shown() {
    for case in ["feedback", "list"] {
        let shown = answer(case).await;
        assert!(
            shown.starts_with("200") && shown.contains("\"items\": [],\n  \"next_cursor\": null"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_version_without_an_agent_is_refused() {
    let shown = answer("feedback-no-agent").await;
    assert!(shown.starts_with("422") && shown.contains(r#""parameter": "version""#), "{shown}");
}

#[tokio::test]
async fn the_statistics_of_a_version_begin_with_nothing() {
    let shown = answer("statistics").await;
    assert!(shown.starts_with("200 application/json"), "{shown}");
    for part in [r#""runs": 0"#, r#""p50_ms": null"#, r#""scores": {}"#] {
        assert!(shown.contains(part), "{part} is missing: {shown}");
    }
}

#[tokio::test]
async fn what_is_unknown_is_not_found() {
    for (case, code) in [
        ("statistics-unknown", "version_not_found"),
        ("create-unknown-run", "not_found"),
        ("get-unknown", "not_found"),
        ("delete-unknown", "not_found"),
        ("items-unknown", "not_found"),
        ("add-items-unknown", "not_found"),
    ] {
        let shown = answer(case).await;
        let code = format!(r#""code": "{code}""#);
        assert!(shown.starts_with("404") && shown.contains(&code), "{case}: {shown}");
    }
}

#[tokio::test]
async fn an_evaluation_is_started_and_shown() {
    let shown = answer_about_evaluation("evaluate").await;
    assert!(shown.starts_with("202 application/json"), "{shown}");
    for part in [
        r#""status": "pending""#,
        r#""repetitions": 2"#,
        r#""criteria": "Is it right?""#,
        r#""summary": null"#,
    ] {
        assert!(shown.contains(part), "{part} is missing: {shown}");
    }
    for case in ["evaluation", "evaluations"] {
        let shown = answer_about_evaluation(case).await;
        assert!(
            shown.starts_with("200") && shown.contains(r#""name": "support@1 with tides""#),
            "{case}: {shown}"
        );
    }
    let shown = answer_about_evaluation("results").await;
    assert!(shown.starts_with("200") && shown.contains(r#""items": []"#), "{shown}");
}

#[tokio::test]
async fn an_evaluation_that_is_not_allowed_is_refused() {
    let shown = answer_about_evaluation("evaluate-too-many").await;
    assert!(shown.starts_with("422") && shown.contains("#/repetitions"), "{shown}");
    for (case, code) in [
        ("evaluate-unknown-agent", "agent_not_found"),
        ("evaluation-unknown", "not_found"),
        ("results-unknown", "not_found"),
    ] {
        let shown = answer_about_evaluation(case).await;
        let code = format!(r#""code": "{code}""#);
        assert!(shown.starts_with("404") && shown.contains(&code), "{case}: {shown}");
    }
}
