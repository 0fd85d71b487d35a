//! Messages that choose the parameters of the model calls and the schema of the answer.

use super::answer;

#[tokio::test]
async fn the_log_has_the_parameters_and_the_schema_that_a_message_chooses() {
    let log = answer("send-structured").await;
    for part in [
        r#""outputSchema":{"type":"object","properties":{"height":{"type":"number"}},"required":["height"]}"#,
        r#""parameters":{"temperature":0.2,"maxOutputTokens":500,"stop":["END"],"reasoningEffort":"low","seed":7}"#,
        // The demo does not keep to a schema.
        "event: OUTPUT_REJECTED",
        r#""code":"output_invalid""#,
    ] {
        assert!(log.contains(part), "{part} is missing: {log}");
    }
}

#[tokio::test]
async fn an_answer_in_chunks_is_checked_against_the_schema() {
    let chunks = answer("ai-sdk-send-structured").await;
    assert!(chunks.starts_with("200 text/event-stream"), "{chunks}");
    assert!(chunks.contains(r#""type":"error""#) && chunks.contains("`output_schema`"), "{chunks}");
}
