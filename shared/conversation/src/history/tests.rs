use sequent_core::{ArtifactId, InterruptId, MessageId, RunId, Timestamp};
use sequent_event::{
    AnswerStatus, Artifact, Body, CancelReason, Citation, ClaimReason, DataPart, Entry, Interrupt, Question,
    Reason, Role, RunOutcome, Seq, UserContent, UserPart,
};
use sequent_protocol::ui_message::MessageFold;
use sequent_runlog::append_control;
use serde_json::{Value, json};

use super::*;
use crate::{
    AnswerToQuestion, NewRun, Prompt, ResumeBy,
    testing::{Conversation, append_all, response},
};

fn cursors() -> CursorKey {
    CursorKey::new("a key for tests".to_owned().into())
}

impl Conversation {
    async fn history(&self, limit: Option<u32>) -> Vec<Value> {
        let history = History::new(self.runs.storage(), self.tenant);
        let page = history.page(self.project, &cursors(), None, limit).await.unwrap();
        page.items.iter().map(|message| serde_json::to_value(message).unwrap()).collect()
    }

    async fn ui(&self) -> Vec<Value> {
        let history = History::new(self.runs.storage(), self.tenant);
        let page = history.ui_page(self.project, &cursors(), None, None).await.unwrap();
        page.items.iter().map(|message| serde_json::to_value(message).unwrap()).collect()
    }
}

/// Reasoning, words and a call with its result, as one response that read `told` messages.
fn calling(id: &str, result: &str, told: u32) -> Vec<Body> {
    let message_id = MessageId::new();
    let tool_call_id = id.to_owned();
    let mut said = response("Let me look.", told, "tool_calls");
    let usage = said.pop().unwrap();
    let mut bodies = vec![
        Body::ReasoningStart { message_id },
        Body::ReasoningMessageStart { message_id, role: Role::Reasoning },
        Body::ReasoningMessageContent { message_id, delta: "Hm.".into() },
        Body::ReasoningMessageEnd { message_id },
        Body::ReasoningEnd { message_id },
    ];
    bodies.append(&mut said);
    bodies.extend([
        Body::ToolCallStart {
            tool_call_id: tool_call_id.clone(),
            tool_call_name: "look".into(),
            parent_message_id: None,
        },
        Body::ToolCallArgs { tool_call_id: tool_call_id.clone(), delta: r#"{"at":"sky"}"#.into() },
        Body::ToolCallEnd { tool_call_id: tool_call_id.clone() },
        usage,
        Body::ToolCallResult { message_id, tool_call_id, content: result.into(), error: None },
    ]);
    bodies
}

fn found() -> Vec<Body> {
    let artifact = Artifact {
        artifact_id: ArtifactId::from_bits(3),
        title: "Sky".into(),
        entity_type: "file".into(),
        media_type: "text/plain".into(),
        size: 3,
        sha256: "0".repeat(64),
        tool_call_id: None,
        job_id: None,
    };
    let url = "https://sky.example/".to_owned();
    let citation = Citation { url, title: "The sky".into(), quote: None, tool_call_id: None };
    vec![Body::SourceCited(citation), Body::ArtifactCreated(artifact)]
}

fn types(message: &Value) -> Vec<&str> {
    message["parts"].as_array().unwrap().iter().map(|part| part["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_answer_has_its_parts_in_the_order_in_which_the_model_wrote_them() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let writer = conversation.begin(&new).await;
    append_all(&writer, calling("call_1", "{\"blue\":true}", 1)).await;
    append_all(&writer, found()).await;
    conversation.end(&writer, &new, response("It is blue.", 1, "stop"), RunOutcome::Success).await;

    let [question, answer] = conversation.history(None).await.try_into().unwrap();
    assert_eq!(question["parts"], json!([{"type": "text", "text": "Why?"}]));
    assert_eq!(
        (&answer["content"], &answer["status"]),
        (&json!("Let me look.\n\nIt is blue."), &json!("complete"))
    );
    let expected = json!([
        {"type": "reasoning", "text": "Hm."},
        {"type": "text", "text": "Let me look."},
        {"type": "tool", "id": "call_1", "name": "look", "state": "done", "input": {"at": "sky"}, "output": {"blue": true}},
        {"type": "source", "id": answer["parts"][3]["id"], "url": "https://sky.example/", "title": "The sky"},
        {"type": "artifact", "artifact_id": ArtifactId::from_bits(3), "title": "Sky", "entity_type": "file",
         "media_type": "text/plain", "size": 3},
        {"type": "text", "text": "It is blue."},
    ]);
    assert_eq!(answer["parts"], expected);

    let [question, answer] = conversation.ui().await.try_into().unwrap();
    assert_eq!((&question["role"], types(&question)), (&json!("user"), vec!["text"]));
    assert_eq!((&answer["id"], &answer["metadata"]["runId"]), (&json!(new.run), &json!(new.run)));
    let expected = [
        "step-start",
        "reasoning",
        "text",
        "tool-look",
        "source-url",
        "data-sequent-event",
        "step-start",
        "text",
    ];
    assert_eq!(types(&answer), expected);
}

#[tokio::test]
async fn parts_are_with_the_answer_to_the_messages_that_the_model_had_read() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let writer = conversation.begin(&new).await;
    append_all(&writer, calling("call_1", "one", 1)).await;
    crate::steer(conversation.runs.storage(), new.key(), conversation.user, prompt("And then?"))
        .await
        .unwrap();
    writer.flush().await.unwrap();
    append_all(&writer, calling("call_2", "two", 2)).await;
    conversation.end(&writer, &new, response("Two.", 2, "stop"), RunOutcome::Success).await;

    let messages = conversation.history(None).await;
    let calls: Vec<_> = messages
        .iter()
        .map(|message| {
            let parts = message["parts"].as_array().unwrap();
            parts.iter().filter_map(|part| part["id"].as_str()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(calls, [vec![], vec!["call_1"], vec![], vec!["call_2"]]);
    // A page may end within a run.
    assert_eq!(conversation.history(Some(2)).await, messages[..2]);

    let [_, answer] = conversation.ui().await.try_into().unwrap();
    let steered =
        answer["parts"].as_array().unwrap().iter().find(|part| part["type"] == "data-sequent-event");
    assert_eq!(steered.unwrap()["data"]["content"], "And then?");
}

fn prompt(text: &str) -> Prompt {
    Prompt::try_from(text.to_owned()).unwrap()
}

#[tokio::test]
async fn a_live_run_has_no_answer_and_one_that_failed_without_words_has_its_parts() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let writer = conversation.begin(&new).await;
    append_all(&writer, calling("call_1", "one", 1)).await;
    writer.flush().await.unwrap();
    assert_eq!((conversation.history(None).await.len(), conversation.ui().await.len()), (1, 1));

    let cancel = Body::CancelRequested { by: None, reason: CancelReason::Requested };
    append_control(conversation.runs.storage(), new.key(), cancel).await.unwrap();
    conversation.end(&writer, &new, Vec::new(), RunOutcome::Cancelled).await;
    let [_, answer] = conversation.history(None).await.try_into().unwrap();
    assert_eq!((&answer["status"], types(&answer)), (&json!("partial"), vec!["reasoning", "text", "tool"]));
    assert_eq!(conversation.ui().await.len(), 2);
}

#[tokio::test]
async fn an_answer_that_waits_has_its_open_calls_for_the_sdk() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let writer = conversation.begin(&new).await;
    let mut bodies = calling("call_1", "", 1);
    bodies.pop();
    append_all(&writer, bodies).await;
    let id = InterruptId::new();
    let question = Question {
        reason: Reason::Approval,
        message: "May it look?".into(),
        tool_call_id: Some("call_1".into()),
        call: None,
        response_schema: None,
        expires_at: None,
    };
    let asked = vec![Body::ClarificationNeeded { interrupt_id: id, question: question.clone() }];
    let outcome = RunOutcome::Interrupt { interrupts: vec![Interrupt { id, question }] };
    conversation.end(&writer, &new, asked, outcome).await;

    let [_, answer] = conversation.ui().await.try_into().unwrap();
    let call = answer["parts"].as_array().unwrap().last().unwrap();
    assert_eq!((&call["state"], &call["approval"]), (&json!("approval-requested"), &json!({"id": id})));
    assert_eq!(conversation.history(None).await.len(), 1, "the run has not answered yet");

    let payload = Some(json!({"approved": true}));
    let reply = AnswerToQuestion { interrupt: id, status: AnswerStatus::Resolved, payload };
    let storage = conversation.runs.storage();
    crate::answer(storage, new.key(), None, &[reply], ResumeBy::Worker).await.unwrap();
    assert_eq!(conversation.ui().await.len(), 1, "the stream of a run that goes on has all of its answer");
}

#[tokio::test]
async fn the_parts_of_a_persons_message_are_kept() {
    let conversation = Conversation::new().await;
    let data = UserPart::Data(DataPart { name: "cells".into(), data: json!({"from": "A1", "sum": 1.5}) });
    let parts = vec![UserPart::Text { text: "Sum up.".into() }, data];
    let new = NewRun { content: UserContent::Parts(parts), ..conversation.asking() };
    let writer = conversation.begin(&new).await;
    conversation.end(&writer, &new, response("1.5", 1, "stop"), RunOutcome::Success).await;
    let [question, _] = conversation.history(None).await.try_into().unwrap();
    assert_eq!(question["content"], "Sum up.");
    assert_eq!(
        question["parts"][1],
        json!({"type": "data", "name": "cells", "data": {"from": "A1", "sum": 1.5}})
    );
    let [question, _] = conversation.ui().await.try_into().unwrap();
    assert_eq!(question["parts"][1], json!({"type": "data-cells", "data": {"from": "A1", "sum": 1.5}}));
}

#[tokio::test]
async fn a_page_of_long_messages_ends_with_a_run_and_the_next_one_goes_on() {
    let conversation = Conversation::new().await;
    for calls in [1, 2, 1] {
        let new = conversation.asking();
        let writer = conversation.begin(&new).await;
        for call in 0..calls {
            append_all(&writer, calling(&format!("call_{call}"), &"é".repeat(2_000), 1)).await;
        }
        conversation.end(&writer, &new, response("Done.", 1, "stop"), RunOutcome::Success).await;
    }
    let whole = conversation.history(None).await;
    let history =
        History { max_page_bytes: 6_000, ..History::new(conversation.runs.storage(), conversation.tenant) };
    let mut cursor: Option<String> = None;
    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    loop {
        let page = history.page(conversation.project, &cursors(), cursor.as_deref(), None).await.unwrap();
        sizes.push(page.items.len());
        seen.extend(page.items.iter().map(|message| serde_json::to_value(message).unwrap()));
        cursor = page.next_cursor(&cursors());
        if cursor.is_none() {
            break;
        }
    }
    // A run that is too long alone is a page of its own.
    assert_eq!((seen, sizes), (whole, vec![2, 2, 2]));
}

#[test]
fn the_parts_of_a_long_run_are_cut_to_a_size_and_none_is_left_out() {
    let bodies = (0..30).flat_map(|call| calling(&format!("call_{call}"), &"é".repeat(3_000), 1));
    let opening = [
        Body::UserMessage { message_id: MessageId::new(), content: "Why?".into(), by: None, model: None },
        Body::RunClaimed { epoch: 1, writer: "w".into(), reason: ClaimReason::Start },
        Body::RunStarted {
            thread_id: ProjectId::from_bits(1),
            run_id: RunId::from_bits(2),
            parent_run_id: None,
        },
    ];
    let at = Timestamp::from_millis(1);
    let events = opening.into_iter().chain(bodies).zip(1..);
    let mut fold = MessageFold::new(RunId::from_bits(2));
    events.for_each(|(body, seq)| fold.push(&Entry::new(at, body).at_seq(Seq(seq))));
    let mut message = fold.into_message();
    let parts = message.parts.len();
    assert!(!shorten::shorten(&mut message, 1_000_000));
    assert!(shorten::shorten(&mut message, 80_000));
    assert!(page::json_bytes(&message.parts) <= 80_000);
    assert_eq!(message.parts.len(), parts);
}
