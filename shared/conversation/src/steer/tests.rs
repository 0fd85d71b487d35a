use sequent_event::{CancelReason, RunOutcome, Usage};
use sequent_runlog::MAX_BYTES;
use sequent_tables::{
    Item, Update, attribute_of,
    limit::{TRANSACTION_BYTES, item_bytes},
    testing::process,
};

use super::*;
use crate::{
    MessageRole, MessageStatus,
    testing::{Conversation, append_all, response},
};

async fn steer_with(conversation: &Conversation, key: LogKey, text: &str) -> Result<Steered, Error> {
    let prompt = Prompt::try_from(text.to_owned()).unwrap();
    steer(conversation.runs.storage(), key, conversation.user, prompt).await
}

async fn shown(conversation: &Conversation) -> Vec<(MessageRole, String, MessageStatus)> {
    let messages = conversation.messages().await;
    messages.into_iter().map(|message| (message.role, message.content, message.status)).collect()
}

#[tokio::test]
async fn a_message_is_part_of_the_conversation_at_once() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let _writer = conversation.begin(&new).await;
    let stored = steer_with(&conversation, new.key(), "And in short?").await.unwrap();
    let messages = conversation.messages().await;
    assert_eq!((messages.len(), messages[1].id), (2, stored.message));
}

#[tokio::test]
async fn a_message_to_a_run_at_work_costs_no_reading_of_its_log() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let writer = conversation.begin(&new).await;
    // Three pages of the table.
    append_all(&writer, (0..20).flat_map(|_| response(&"x".repeat(120_000), 1, "tool_calls"))).await;
    writer.flush().await.unwrap();
    let (store, requests) = process(conversation.runs.tables());
    let storage = DynamoStorage::new(store);
    for text in ["And in short?", "And at low tide?"] {
        let prompt = Prompt::try_from(text.to_owned()).unwrap();
        steer(&storage, new.key(), conversation.user, prompt).await.unwrap();
        append_all(&writer, response("So.", 1, "tool_calls")).await;
        writer.flush().await.unwrap();
    }
    let requests = requests.take();
    assert!(requests["Query"] <= 4, "the last segment and the last message, twice: {requests:?}");
    let said: Vec<String> = shown(&conversation).await.into_iter().map(|(_, text, _)| text).collect();
    assert_eq!(said, ["Why?", "And in short?", "And at low tide?"]);
    assert_eq!(writer.flush().await.unwrap().prompts.len(), 3);
}

#[tokio::test]
async fn messages_that_are_sent_at_the_same_time_are_all_kept() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let writer = conversation.begin(&new).await;
    let sent = (0..8).map(|n| steer_with(&conversation, new.key(), ["a", "b", "c", "d"][n % 4]));
    let sent = futures::future::join_all(sent).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    assert_eq!(conversation.messages().await.len(), 9);
    append_all(&writer, response("So.", 1, "tool_calls")).await;
    assert_eq!(writer.flush().await.unwrap().prompts.len(), 9);
}

#[tokio::test]
async fn each_answer_of_a_steered_run_is_kept_in_its_place() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let writer = conversation.begin(&new).await;
    append_all(&writer, response("Let me look.", 1, "tool_calls")).await;
    append_all(&writer, response("Because.", 1, "stop")).await;
    writer.flush().await.unwrap();
    steer_with(&conversation, new.key(), "And in short?").await.unwrap();
    writer.flush().await.unwrap();
    conversation.end(&writer, &new, response("So.", 2, "stop"), RunOutcome::Success).await;
    let user = |text: &str| (MessageRole::User, text.to_owned(), MessageStatus::Complete);
    let agent = |text: &str| (MessageRole::Assistant, text.to_owned(), MessageStatus::Complete);
    let expected = [user("Why?"), agent("Let me look.\n\nBecause."), user("And in short?"), agent("So.")];
    assert_eq!(shown(&conversation).await, expected);
}

#[tokio::test]
async fn a_cancelled_run_keeps_its_complete_answer_beside_the_partial_one() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let writer = conversation.begin(&new).await;
    append_all(&writer, response("Because.", 1, "stop")).await;
    writer.flush().await.unwrap();
    steer_with(&conversation, new.key(), "And in short?").await.unwrap();
    writer.flush().await.unwrap();
    let cut = response("S", 2, Usage::CANCELLED);
    conversation.end(&writer, &new, cut, RunOutcome::Cancelled).await;
    let statuses: Vec<MessageStatus> =
        shown(&conversation).await.into_iter().map(|(.., status)| status).collect();
    let complete = MessageStatus::Complete;
    assert_eq!(statuses, [complete, complete, complete, MessageStatus::Partial]);
}

#[tokio::test]
async fn a_run_takes_a_limited_number_of_messages() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let _writer = conversation.begin(&new).await;
    for _ in 0..MAX_STEERING_MESSAGES {
        steer_with(&conversation, new.key(), "And then?").await.unwrap();
    }
    let refused = steer_with(&conversation, new.key(), "And then?").await;
    assert!(matches!(refused, Err(Error::TooManyMessages)), "{refused:?}");
    assert_eq!(conversation.messages().await.len(), 1 + MAX_STEERING_MESSAGES);
}

#[tokio::test]
async fn a_run_that_has_ended_and_a_project_that_is_deleted_take_no_message() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let writer = conversation.begin(&new).await;
    let project = key::project(conversation.tenant, conversation.project);
    conversation.runs.tables().write(Update::of(&project).set("deleting", true)).await.unwrap();
    let refused = steer_with(&conversation, new.key(), "And then?").await;
    assert!(matches!(refused, Err(Error::ProjectNotFound)), "{refused:?}");
    conversation.end(&writer, &new, Vec::new(), RunOutcome::Success).await;
    let refused = steer_with(&conversation, new.key(), "And then?").await;
    assert!(matches!(refused, Err(Error::RunClosed(RunStatus::Success))), "{refused:?}");
    let missing = LogKey { run: sequent_core::RunId::new(), ..new.key() };
    assert!(matches!(steer_with(&conversation, missing, "?").await, Err(Error::RunNotFound)));
    assert_eq!(conversation.messages().await.len(), 1, "no message was stored");
}

/// The sizes of the run's messages as rows.
async fn message_bytes(conversation: &Conversation, run: sequent_core::RunId) -> Vec<usize> {
    let is_message = |row: &Item| {
        let sort: Option<String> = attribute_of(row, "sk");
        sort.is_some_and(|sort| sort.contains(&format!("#{run}#")))
    };
    let rows = sequent_tables::testing::all_rows(conversation.runs.tables()).await;
    rows.iter().filter(|row| is_message(row)).map(item_bytes).collect()
}

/// DynamoDB may count the rows that a transaction deletes.
#[tokio::test]
async fn the_longest_run_can_be_rolled_back_in_one_transaction() {
    let conversation = Conversation::new().await;
    let before = conversation.asking();
    let writer = conversation.begin(&before).await;
    conversation.end(&writer, &before, response("Hello.", 1, "stop"), RunOutcome::Success).await;
    let longest = "y".repeat(Prompt::MAX_BYTES);
    let new = crate::NewRun { content: longest.clone().into(), ..conversation.asking() };
    let writer = conversation.begin(&new).await;
    for told in 1..=u32::try_from(MAX_STEERING_MESSAGES).unwrap() {
        append_all(&writer, response("Because.", told, "stop")).await;
        steer_with(&conversation, new.key(), &longest).await.unwrap();
    }
    let deleted: usize = message_bytes(&conversation, new.run).await.iter().sum();
    assert!(deleted + MAX_BYTES <= TRANSACTION_BYTES, "{deleted} bytes are deleted");

    let reason = CancelReason::RolledBack;
    crate::cancel(&conversation.runs, new.key(), None, reason).await.unwrap();
    conversation.end(&writer, &new, Vec::new(), RunOutcome::Cancelled).await;
    assert!(message_bytes(&conversation, new.run).await.is_empty());
    let runs: Vec<_> = conversation.messages().await.into_iter().map(|message| message.run_id).collect();
    assert_eq!(runs, [before.run, before.run]);
    let project = conversation.projects().get(conversation.project).await.unwrap();
    assert_eq!(project.head, Some(before.run), "the head is what the run continued");
}
