//! Edits and other answers in the AI SDK, which act on the message that they name.

use sequent_conversation::{NewFork, Projects, Runs, TurnReference};
use sequent_core::{ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_http::{App, testing::Answer};
use sequent_runlog::DynamoStorage;
use serde_json::{Value, json};

use crate::app::{app_over, event, send};

/// A conversation of two turns, as the SDK has it.
struct Chat {
    app: App,
    storage: DynamoStorage,
    tenant: TenantId,
    history: Vec<Value>,
    runs: Vec<RunId>,
}

impl Chat {
    async fn of_two_turns() -> Self {
        let storage = DynamoStorage::new(sequent_tables::testing::store().await);
        let tenant = TenantId::new();
        let app = app_over(storage.clone(), tenant);
        let mut chat = Self { app, storage, tenant, history: Vec::new(), runs: Vec::new() };
        for question in ["one", "two"] {
            chat.history.push(asked(question));
            let run = started(&chat.ask(json!({"messages": chat.history})).await);
            chat.history.push(json!({"id": run, "role": "assistant", "parts": []}));
            chat.runs.push(run);
        }
        chat
    }

    async fn ask(&self, mut body: Value) -> Answer {
        body["id"] = json!("c");
        event("POST", "/api/chat").json(&body).send(&self.app).await
    }

    async fn project(&self) -> ProjectId {
        Runs::new(self.storage.store(), self.tenant).get(self.runs[0]).await.unwrap().project_id
    }

    /// The runs of the branch that is shown, each once.
    async fn shown(&self) -> Vec<RunId> {
        let projects = Projects::new(self.storage.store(), self.tenant);
        let messages = projects.messages(self.project().await).await.unwrap();
        let mut runs: Vec<RunId> = messages.iter().map(|message| message.run_id).collect();
        runs.dedup();
        runs
    }
}

fn asked(text: &str) -> Value {
    let text = format!("{text}\n/demo tokens=1 rate=0");
    json!({"id": format!("client's {text}"), "role": "user", "parts": [{"type": "text", "text": text}]})
}

/// The run of a stream.
fn started(answer: &Answer) -> RunId {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-workflow-run-id").parse().unwrap()
}

#[tokio::test]
async fn an_edit_of_the_first_message_leaves_no_later_turn_in_its_branch() {
    let chat = Chat::of_two_turns().await;
    assert_eq!(chat.shown().await, chat.runs);
    let edit =
        json!({"trigger": "submit-message", "messageId": chat.history[0]["id"], "messages": [asked("uno")]});
    let edited = started(&chat.ask(edit).await);
    assert_eq!(chat.shown().await, [edited]);

    // The ids of messages that were loaded are those of the server, which needs no history then.
    let messages =
        Projects::new(chat.storage.store(), chat.tenant).messages(chat.project().await).await.unwrap();
    let edit = json!({"messageId": messages[0].id, "message": asked("eins")});
    let again = started(&chat.ask(edit).await);
    assert_eq!(chat.shown().await, [again]);
}

#[tokio::test]
async fn an_edit_of_a_later_message_continues_the_turn_before_it() {
    let chat = Chat::of_two_turns().await;
    let messages = [&chat.history[..2], &[asked("due")]].concat();
    let edit = json!({"messageId": chat.history[2]["id"], "messages": messages});
    let edited = started(&chat.ask(edit).await);
    assert_eq!(chat.shown().await, [chat.runs[0], edited]);
}

#[tokio::test]
async fn another_answer_is_a_sibling_of_the_one_that_it_names() {
    let chat = Chat::of_two_turns().await;
    let again = |id: Value, messages: &[Value]| json!({"trigger": "regenerate-message", "messageId": id, "messages": messages});
    let first = started(&chat.ask(again(json!(chat.runs[0]), &chat.history[..1])).await);
    assert_eq!(chat.shown().await, [first]);
    let second = started(&chat.ask(again(json!(chat.runs[1]), &chat.history[..3])).await);
    assert_eq!(chat.shown().await, [chat.runs[0], second]);
    let last = started(&chat.ask(again(Value::Null, &chat.history[..3])).await);
    assert_eq!(chat.shown().await, [chat.runs[0], last]);
    for id in [json!(RunId::new()), json!("unknown")] {
        let messages = [json!({"role": "assistant", "parts": []}), asked("?")];
        let refused = chat.ask(again(id, &messages)).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "validation_failed"));
    }
}

#[tokio::test]
async fn a_message_continues_the_turn_that_it_names() {
    let chat = Chat::of_two_turns().await;
    let project = chat.project().await;
    let messages = Projects::new(chat.storage.store(), chat.tenant).messages(project).await.unwrap();
    let say = async |after: Value| {
        let message = json!({"content": "/demo tokens=1 rate=0"});
        let body = json!({"project_id": project, "message": message, "after": after});
        send(&body).send(&chat.app).await
    };
    for after in [json!(chat.runs[0]), json!(messages[0].id), json!(messages[1].id)] {
        let run: RunId = say(after).await.header("x-run-id").parse().unwrap();
        assert_eq!(chat.shown().await, [chat.runs[0], run]);
    }
    let run: RunId = say(json!("start")).await.header("x-run-id").parse().unwrap();
    assert_eq!(chat.shown().await, [run]);
    let run: RunId = say(Value::Null).await.header("x-run-id").parse().unwrap();
    assert_eq!(chat.shown().await.last(), Some(&run));
    for after in [json!(RunId::new()), json!(sequent_core::MessageId::new()), json!("x")] {
        assert_eq!(say(after).await.status, 422);
    }
}

#[tokio::test]
async fn a_message_goes_to_the_fork_that_the_answer_before_it_was_loaded_from() {
    let chat = Chat::of_two_turns().await;
    let project = chat.project().await;
    let from = TurnReference::Run(chat.runs[0]);
    let new = NewFork { project, from, user: UserId::new(), name: None, quotes: &[] };
    let projects = Projects::new(chat.storage.store(), chat.tenant);
    let fork = Box::pin(projects.fork(&new, Timestamp::now())).await.unwrap();
    for (metadata, expected) in [(json!({"projectId": fork.id}), fork.id), (json!("any"), project)] {
        let answer = json!({"id": chat.runs[0], "role": "assistant", "parts": [], "metadata": metadata});
        let body = json!({"messages": [chat.history[0], answer, asked("three")]});
        let sent = event("POST", "/api/chat").json(&body).send(&chat.app).await;
        assert_eq!(sent.header("x-project-id"), expected.to_string(), "{}", sent.text());
    }
}
