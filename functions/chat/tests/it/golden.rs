//! The golden events of this function and their responses.

mod agents;
mod feed;
mod structured;

use insta::assert_snapshot;
use sequent_chat_function::openapi;
use sequent_http::testing::golden::Golden;
use serde_json::{Value, json};

use crate::{
    app,
    deployment::{ASKS, Deployment, ENDED},
};

/// Some members differ from run to run, and the number of input tokens with the text of the system prompt.
fn goldens() -> Golden {
    Golden::new("chat", &openapi())
        .redact(
            r#""(?P<name>timestamp|latencyMs|inputTokens|tokens)":(?P<space> ?)[0-9]+"#,
            r#""$name":${space}0"#,
        )
        .redact(r#""(?P<name>offer|messages)":"[0-9a-f]{32}""#, r#""$name":"[digest]""#)
        .redact(r#""(?P<name>at|[a-z]+_at)": "20[^"]*Z""#, r#""$name": "[time]""#)
        .redact(r#""date": "[0-9-]{10}""#, r#""date": "[today]""#)
        .redact(r#""writer":(?P<space> ?)"[^"]*""#, r#""writer":${space}"[writer]""#)
}

/// The response in a deployment whose run has ended.
async fn answer(case: &str) -> String {
    answer_in(&Deployment::with_run(ENDED).await, case).await
}

async fn answer_in(deployment: &Deployment, case: &str) -> String {
    let (event, answer) = deployment.send(case).await;
    goldens().render(&event, &answer)
}

#[test]
fn every_golden_event_is_tested() {
    let sources = concat!(
        include_str!("golden.rs"),
        include_str!("golden/agents.rs"),
        include_str!("golden/feed.rs"),
        include_str!("golden/structured.rs")
    );
    goldens().assert_all_tested(sources);
}

#[tokio::test]
async fn a_message_is_answered_with_the_log_of_its_run() {
    assert_snapshot!(answer("send").await, @r#"
    200 text/event-stream
    id: 1
    event: RUN_CONFIGURED
    data: {"seq":1,"v":1,"timestamp":0,"type":"RUN_CONFIGURED","orchestration":"direct","lineage":{"after":"run_1","depth":1}}

    id: 2
    event: USER_MESSAGE
    data: {"seq":2,"v":1,"timestamp":0,"type":"USER_MESSAGE","messageId":"msg_1","content":"/demo tokens=1 rate=0","by":"usr_1"}

    id: 3
    event: RUN_CLAIMED
    data: {"seq":3,"v":1,"timestamp":0,"type":"RUN_CLAIMED","epoch":1,"writer":"[writer]","reason":"start"}

    id: 4
    event: RUN_STARTED
    data: {"seq":4,"v":1,"timestamp":0,"type":"RUN_STARTED","threadId":"prj_1","runId":"run_2"}

    id: 5
    event: TEXT_MESSAGE_START
    data: {"seq":5,"v":1,"timestamp":0,"type":"TEXT_MESSAGE_START","messageId":"msg_2","role":"assistant"}

    id: 6
    event: TEXT_MESSAGE_CONTENT
    data: {"seq":6,"v":1,"timestamp":0,"type":"TEXT_MESSAGE_CONTENT","messageId":"msg_2","delta":"This"}

    id: 7
    event: TEXT_MESSAGE_END
    data: {"seq":7,"v":1,"timestamp":0,"type":"TEXT_MESSAGE_END","messageId":"msg_2"}

    id: 8
    event: USAGE_RECORDED
    data: {"seq":8,"v":1,"timestamp":0,"type":"USAGE_RECORDED","provider":"demo","model":"demo","inputTokens":0,"outputTokens":1,"costMicroUsd":0,"estimated":true,"latencyMs":0,"finishReason":"stop","messagesTold":1,"request":{"purpose":"answer","offer":"[digest]","messages":"[digest]","tokens":0}}

    id: 9
    event: RUN_FINISHED
    data: {"seq":9,"v":1,"timestamp":0,"type":"RUN_FINISHED","threadId":"prj_1","runId":"run_2","outcome":{"type":"success"}}
    "#);
}

/// The events of a stream without what may differ: the first run of a project has no configuration, which names the run that it
/// continues, so all positions are one less, and the ids of runs are numbered without that run.
fn events_of(answer: &str) -> Vec<Value> {
    let lines: Vec<&str> = answer.lines().skip(1).filter(|line| !line.is_empty()).collect();
    let field = |line: &str, name: &str| line.strip_prefix(name).expect("a field of the frame").to_owned();
    let mut events = Vec::new();
    for frame in lines.chunks(3) {
        let event: Value = serde_json::from_str(&field(frame[2], "data: ")).unwrap();
        assert_eq!(
            (field(frame[0], "id: "), json!(field(frame[1], "event: "))),
            (event["seq"].to_string(), event["type"].clone())
        );
        events.push(event);
    }
    if events[0]["type"] == "RUN_CONFIGURED" {
        assert_eq!(events.remove(0)["lineage"], json!({"after": "run_1", "depth": 1}));
    }
    let run = events.iter().find(|event| event["type"] == "RUN_STARTED").unwrap()["runId"].clone();
    for (seq, event) in (1..).zip(&mut events) {
        event["seq"] = json!(seq);
        if let Some(id) = event.get_mut("runId") {
            assert_eq!(*id, run);
            *id = json!("run");
        }
    }
    events
}

#[tokio::test]
async fn every_native_route_streams_the_same_log() {
    let expected = events_of(&answer("send").await);
    assert_eq!(expected.len(), 8);
    assert_eq!(events_of(&answer("agent-chat").await), expected);
    let mut named = events_of(&answer("send-new-project").await);
    let message = named[0].as_object_mut().unwrap();
    assert_eq!(message.remove("model"), Some(json!("demo")), "this request names a model");
    assert_eq!(named, expected);
}

#[tokio::test]
async fn a_body_in_base64_is_decoded() {
    let deployment = Deployment::with_run(ENDED).await;
    let (event, answer) = deployment.send("send-base64").await;
    goldens().check(&event, &answer);
    let text = goldens().render(&event, &answer);
    assert_snapshot!(text.lines().take(4).collect::<Vec<_>>().join("\n"), @r#"
    200 text/event-stream
    id: 1
    event: USER_MESSAGE
    data: {"seq":1,"v":1,"timestamp":0,"type":"USER_MESSAGE","messageId":"msg_1","content":"Grüße · 潮汐 · 🌊","by":"usr_1"}
    "#);
}

#[tokio::test]
async fn an_ai_sdk_message_is_answered_with_chunks() {
    assert_snapshot!(answer("ai-sdk-send").await, @r#"
    200 text/event-stream
    data: {"type":"start","messageId":"run_1","messageMetadata":{"runId":"run_1","projectId":"prj_1"}}

    data: {"type":"start-step"}

    data: {"type":"text-start","id":"msg_1"}

    data: {"type":"text-delta","id":"msg_1","delta":"This"}

    data: {"type":"text-end","id":"msg_1"}

    data: {"type":"message-metadata","messageMetadata":{"model":"demo","provider":"demo","demo":true,"usage":{"inputTokens":0,"outputTokens":1,"costMicroUsd":0}}}

    data: {"type":"finish-step"}

    data: {"type":"finish","finishReason":"stop"}

    data: [DONE]
    "#);
}

#[tokio::test]
async fn every_form_of_an_ai_sdk_message_has_the_same_answer() {
    let expected = answer("ai-sdk-send").await;
    for case in ["ai-sdk-send-last-message", "ai-sdk-send-no-id"] {
        assert_eq!(answer(case).await, expected, "{case}");
    }
}

#[tokio::test]
async fn an_event_source_receives_the_text() {
    let deployment = Deployment::with_run(ENDED).await;
    let expected = answer_in(&deployment, "project-stream").await;
    assert_snapshot!(expected, @r#"
    200 text/event-stream
    id: run_1:1
    event: start
    data: {"run_id":"run_1"}

    id: run_1:6
    data: {"delta":"This"}

    id: run_1:7
    data: {"delta":" is"}

    id: run_1:10
    event: end
    data: {"content":"This is"}
    "#);
    let empty = answer_in(&deployment, "project-stream-empty-last-event-id").await;
    assert_eq!(empty, expected, "an empty Last-Event-ID is none");
}

#[tokio::test]
async fn the_log_is_followed_from_a_cursor() {
    let deployment = Deployment::with_run(ENDED).await;
    let rest = answer_in(&deployment, "run-events-after").await;
    assert_snapshot!(rest, @r#"
    200 text/event-stream
    id: 18
    event: USAGE_RECORDED
    data: {"seq":18,"v":1,"timestamp":0,"type":"USAGE_RECORDED","provider":"demo","model":"demo","inputTokens":0,"outputTokens":12,"costMicroUsd":0,"estimated":true,"latencyMs":0,"finishReason":"stop","messagesTold":1,"request":{"purpose":"answer","offer":"[digest]","messages":"[digest]","tokens":0}}

    id: 19
    event: RUN_FINISHED
    data: {"seq":19,"v":1,"timestamp":0,"type":"RUN_FINISHED","threadId":"prj_1","runId":"run_1","outcome":{"type":"success"}}
    "#);
    assert_eq!(answer_in(&deployment, "run-events-resume").await, rest);
    let whole = answer_in(&deployment, "run-events").await;
    assert!(whole.contains("\nid: 1\n") && whole.ends_with(rest.split_once('\n').unwrap().1), "{whole}");
    assert_eq!(answer_in(&deployment, "run-events-empty-last-event-id").await, whole);
}

#[tokio::test]
async fn a_page_has_the_events_of_the_stream() {
    let deployment = Deployment::with_run(ENDED).await;
    let (event, page) = deployment.send("run-events-page").await;
    goldens().check(&event, &page);
    let (_, stream) = deployment.send("run-events").await;
    assert_eq!(page.json(), json!({ "events": app::events(&stream), "next_after": null }));
}

#[tokio::test]
async fn a_foreign_cursor_is_refused() {
    assert_snapshot!(answer("run-events-bad-last-event-id").await, @r#"
    400 application/problem+json
    {
      "type": "/api/errors#invalid_cursor",
      "title": "Bad Request",
      "status": 400,
      "code": "invalid_cursor",
      "detail": "a cursor is the number of the last event received, in decimal digits",
      "instance": "req_1",
      "errors": [
        {
          "parameter": "Last-Event-ID",
          "detail": "must be a whole number"
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn chunks_are_skipped() {
    assert_snapshot!(answer("ai-sdk-resume-index").await, @r#"
    200 text/event-stream
    data: {"type":"text-delta","id":"msg_1","delta":" configured,"}

    data: {"type":"text-delta","id":"msg_1","delta":" so"}

    data: {"type":"text-delta","id":"msg_1","delta":" this"}

    data: {"type":"text-end","id":"msg_1"}

    data: {"type":"message-metadata","messageMetadata":{"model":"demo","provider":"demo","demo":true,"usage":{"inputTokens":0,"outputTokens":12,"costMicroUsd":0}}}

    data: {"type":"finish-step"}

    data: {"type":"finish","finishReason":"stop"}

    data: [DONE]
    "#);
}

#[tokio::test]
async fn a_chat_without_a_live_run_has_nothing_to_follow() {
    let deployment = Deployment::with_run(ENDED).await;
    for case in ["ai-sdk-resume", "ai-sdk-resume-encoded-id", "ai-sdk-resume-decoded-id"] {
        assert_eq!(answer_in(&deployment, case).await, "204", "{case}");
    }
}

#[tokio::test]
async fn an_answer_resumes_the_run() {
    let rest = answer_in(&Deployment::with_run(ASKS).await, "run-resume").await;
    assert_snapshot!(rest, @r#"
    200 text/event-stream
    id: 13
    event: CLARIFICATION_ANSWERED
    data: {"seq":13,"v":1,"timestamp":0,"type":"CLARIFICATION_ANSWERED","interruptId":"int_1","status":"resolved","payload":"b","by":"usr_1","remaining":0}

    id: 14
    event: RUN_CLAIMED
    data: {"seq":14,"v":1,"timestamp":0,"type":"RUN_CLAIMED","epoch":2,"writer":"[writer]","reason":"resume"}

    id: 15
    event: RUN_STARTED
    data: {"seq":15,"v":1,"timestamp":0,"type":"RUN_STARTED","threadId":"prj_1","runId":"run_1"}

    id: 16
    event: TOOL_CALL_RESULT
    data: {"seq":16,"v":1,"timestamp":0,"type":"TOOL_CALL_RESULT","messageId":"msg_1","toolCallId":"call_1","content":"b"}

    id: 17
    event: TEXT_MESSAGE_START
    data: {"seq":17,"v":1,"timestamp":0,"type":"TEXT_MESSAGE_START","messageId":"msg_2","role":"assistant"}

    id: 18
    event: TEXT_MESSAGE_CONTENT
    data: {"seq":18,"v":1,"timestamp":0,"type":"TEXT_MESSAGE_CONTENT","messageId":"msg_2","delta":"This"}

    id: 19
    event: TEXT_MESSAGE_END
    data: {"seq":19,"v":1,"timestamp":0,"type":"TEXT_MESSAGE_END","messageId":"msg_2"}

    id: 20
    event: USAGE_RECORDED
    data: {"seq":20,"v":1,"timestamp":0,"type":"USAGE_RECORDED","provider":"demo","model":"demo","inputTokens":0,"outputTokens":1,"costMicroUsd":0,"estimated":true,"latencyMs":0,"finishReason":"stop","messagesTold":1,"request":{"purpose":"answer","offer":"[digest]","messages":"[digest]","tokens":0}}

    id: 21
    event: RUN_FINISHED
    data: {"seq":21,"v":1,"timestamp":0,"type":"RUN_FINISHED","threadId":"prj_1","runId":"run_1","outcome":{"type":"success"}}
    "#);
    assert_eq!(answer_in(&Deployment::with_run(ASKS).await, "agent-resume").await, rest);
}

#[tokio::test]
async fn an_ended_run_accepts_no_answer() {
    assert_snapshot!(answer("run-resume").await, @r##"
    422 application/problem+json
    {
      "type": "/api/errors#validation_failed",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "validation_failed",
      "detail": "The run has not asked the question int_1.",
      "instance": "req_1",
      "errors": [
        {
          "pointer": "#/answers/0/interrupt_id",
          "detail": "must be a question of this run"
        }
      ]
    }
    "##);
    assert_snapshot!(answer("agent-resume").await, @r#"
    409 application/problem+json
    {
      "type": "/api/errors#nothing_asked",
      "title": "Conflict",
      "status": 409,
      "code": "nothing_asked",
      "detail": "No run of this thread waits for an answer. Send a message instead.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn a_request_around_the_cdn_is_refused() {
    assert_snapshot!(answer("not-through-cloudfront").await, @r#"
    403 application/problem+json
    {
      "type": "/api/errors#wrong_origin",
      "title": "Forbidden",
      "status": 403,
      "code": "wrong_origin",
      "detail": "Use the public address of the deployment.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn a_write_with_a_cookie_needs_a_csrf_token() {
    assert_snapshot!(answer("ai-sdk-send-no-csrf").await, @r#"
    403 application/problem+json
    {
      "type": "/api/errors#csrf_token_missing",
      "title": "Forbidden",
      "status": 403,
      "code": "csrf_token_missing",
      "detail": "Writes with a cookie need the header X-CSRF-Token.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn a_body_without_a_content_type_is_refused() {
    assert_snapshot!(answer("send-no-content-type").await, @r#"
    415 application/problem+json
    {
      "type": "/api/errors#unsupported_media_type",
      "title": "Unsupported Media Type",
      "status": 415,
      "code": "unsupported_media_type",
      "detail": "The body must be application/json.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn an_unknown_route_is_not_found() {
    assert_snapshot!(answer("unknown-route").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#route_not_found",
      "title": "Not Found",
      "status": 404,
      "code": "route_not_found",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn another_origin_asks_first() {
    assert_snapshot!(answer("preflight").await, @"200");
}
