use sequent_core::{MessageId, RunId};
use sequent_event::{Compaction, CompactionReason, Coverage, Hold, Usage};
use sequent_runlog::append_control;
use sequent_tables::{Reasons, Update};

use super::*;
use crate::{
    MessageStatus, RunStatus, Runs,
    testing::{Conversation, append_all, response},
};

fn said(content: String) -> Body {
    Body::UserMessage { message_id: MessageId::new(), content: content.into(), by: None, model: None }
}

async fn jobs_of_type(conversation: &Conversation, job_type: &str) -> usize {
    let rows = sequent_tables::testing::all_rows(conversation.runs.tables()).await;
    let of_type = |row: &&sequent_tables::Item| {
        sequent_tables::attribute_of::<String>(row, "job_type").as_deref() == Some(job_type)
    };
    rows.iter().filter(of_type).count()
}

async fn status(conversation: &Conversation, run: RunId) -> RunStatus {
    Runs::new(conversation.runs.tables(), conversation.tenant).get(run).await.unwrap().status
}

#[tokio::test]
async fn neither_many_nor_large_messages_keep_a_run_from_ending() {
    for (count, length, outcome) in [(100, 1, RunOutcome::Success), (66, 64 * 1024, RunOutcome::Cancelled)] {
        let conversation = Conversation::new().await;
        let new = conversation.asking();
        let writer = conversation.begin(&new).await;
        for _ in 0..count {
            let message = said("x".repeat(length));
            append_control(conversation.runs.storage(), new.key(), message).await.unwrap();
        }
        conversation.end(&writer, &new, response("Because.", count + 1, "stop"), outcome).await;
        assert!(status(&conversation, new.run).await.has_ended());
        assert_eq!(conversation.projects().get(conversation.project).await.unwrap().live_run_id, None);
        assert_eq!(conversation.messages().await.last().unwrap().content, "Because.");
    }
}

#[tokio::test]
async fn a_rolled_back_run_with_many_messages_ends_and_leaves_none() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let writer = conversation.begin(&new).await;
    for _ in 0..crate::MAX_STEERING_MESSAGES {
        let prompt = crate::Prompt::try_from("And then?".to_owned()).unwrap();
        crate::steer(conversation.runs.storage(), new.key(), conversation.user, prompt).await.unwrap();
    }
    assert_eq!(conversation.messages().await.len(), 33);
    let reason = CancelReason::RolledBack;
    let cancel = Body::CancelRequested { by: None, reason };
    append_control(conversation.runs.storage(), new.key(), cancel).await.unwrap();
    conversation.end(&writer, &new, response("Bec", 33, Usage::CANCELLED), RunOutcome::Cancelled).await;
    assert_eq!(conversation.messages().await, []);
}

#[tokio::test]
async fn the_first_message_of_a_run_without_an_answer_says_that_the_run_compacts() {
    for provisional in [false, true] {
        let conversation = Conversation::new().await;
        let new = conversation.asking();
        let writer = conversation.begin(&new).await;
        let compaction = Compaction {
            reason: CompactionReason::Turns,
            tokens: 9,
            room: 9,
            calls: Vec::new(),
            excerpts: None,
            covers: Some(Coverage { through: None, responses: 0 }),
            summary: Some("They spoke.".into()),
            provisional,
            words: None,
            usage: None,
        };
        let bodies = vec![Body::ContextCompacted(Box::new(compaction))];
        conversation.end(&writer, &new, bodies, RunOutcome::Cancelled).await;
        let messages = conversation.messages().await;
        assert_eq!(messages.iter().map(|message| message.compacts).collect::<Vec<_>>(), [!provisional]);
    }
}

#[tokio::test]
async fn a_long_answer_is_cut_with_a_mark() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let writer = conversation.begin(&new).await;
    append_all(&writer, response(&"é".repeat(225_000), 1, "stop")).await;
    conversation.end(&writer, &new, Vec::new(), RunOutcome::Success).await;
    let messages = conversation.messages().await;
    assert!(messages[1].truncated && !messages[0].truncated);
    assert_eq!(messages[1].content, "é".repeat(150_000));
    assert_eq!(messages[1].status, MessageStatus::Complete);
}

#[tokio::test]
async fn the_responses_of_a_cancelled_run_may_be_too_long_together() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let writer = conversation.begin(&new).await;
    for _ in 0..12 {
        append_all(&writer, response(&"x".repeat(40_000), 1, "tool_calls")).await;
    }
    conversation.end(&writer, &new, Vec::new(), RunOutcome::Cancelled).await;
    let messages = conversation.messages().await;
    assert!(messages[1].truncated);
    assert_eq!((messages.len(), messages[1].status), (2, MessageStatus::Partial));
}

#[tokio::test]
async fn a_run_ends_although_another_run_has_its_turn() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let writer = conversation.begin(&new).await;
    let other = RunId::new();
    let project = key::project(conversation.tenant, conversation.project);
    conversation.runs.tables().write(Update::of(&project).set("live_run_id", other)).await.unwrap();
    conversation.end(&writer, &new, response("Because.", 1, "stop"), RunOutcome::Success).await;
    assert_eq!(status(&conversation, new.run).await, RunStatus::Success);
    assert_eq!(conversation.projects().get(conversation.project).await.unwrap().live_run_id, Some(other));
    assert_eq!(conversation.messages().await.len(), 2, "nothing else is left out");
    assert_eq!(jobs_of_type(&conversation, "rebuild_projections").await, 0);
}

#[tokio::test]
async fn a_run_whose_row_is_lost_ends_and_is_rebuilt() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let writer = conversation.begin(&new).await;
    let row = key::run(conversation.tenant, new.run);
    let run = Runs::new(conversation.runs.tables(), conversation.tenant).get(new.run).await.unwrap();
    conversation.runs.tables().delete(&row).await.unwrap();
    let known = *writer.signals().borrow();
    let end = Body::RunError { message: "It failed.".into(), code: "x".into() };
    let ended = finish(&writer, conversation.tenant, &run, known, vec![end]).await.unwrap();
    assert!(matches!(ended, Finish::Done(_)), "{ended:?}");
    assert_eq!(conversation.projects().get(conversation.project).await.unwrap().live_run_id, None);
    assert_eq!(jobs_of_type(&conversation, "rebuild_projections").await, 1);
}

#[tokio::test]
async fn a_run_whose_account_is_lost_ends() {
    let conversation = Conversation::new().await;
    let new = conversation.asking();
    let writer = conversation.begin(&new).await;
    writer.flush().await.unwrap();
    let mut run = Runs::new(conversation.runs.tables(), conversation.tenant).get(new.run).await.unwrap();
    run.opens_project = true;
    let state = State {
        configuration: sequent_event::Configuration {
            hold: Some(Box::new(Hold {
                amount: sequent_core::MicroCredits(5),
                day: "d20261130".into(),
                markup: 100,
                metered: false,
                of_quota: false,
                low_below: None,
            })),
            ..Default::default()
        },
        phase: Phase::Finished(RunOutcome::Success),
        ..writer.opening().clone()
    };
    let rows = FinalRows::new(conversation.tenant, run, &state, false, TurnState::Held);
    let all = rows.join(Transaction::new(), Omitted::default()).run(conversation.runs.tables()).await;
    let refused = all.unwrap_err();
    assert!(!refused.any_refused() && !refused.is_transient(), "{refused:?}");
    let mut omitted = Omitted::default();
    let mut tries = 0;
    loop {
        tries += 1;
        match rows.join(Transaction::new(), omitted).run(conversation.runs.tables()).await {
            Ok(()) => break,
            Err(refused) => omitted = omitted.with_refused(&refused, false).unwrap(),
        }
    }
    assert_eq!((tries, omitted.settlement), (3, true));
    assert_eq!(status(&conversation, new.run).await, RunStatus::Success);
}

#[test]
fn there_is_an_end_to_what_can_be_left_out() {
    let of_no_row = Cancelled::Reasons(Reasons::default());
    let of_the_request = Cancelled::Failed(sequent_tables::Error::Refused("an invalid expression".into()));
    for refused in [of_no_row, of_the_request] {
        let mut omitted = Some(Omitted::default());
        for expected in [(true, false), (true, true)] {
            omitted = omitted.unwrap().with_refused(&refused, false);
            assert_eq!(omitted.map(|omitted| (omitted.messages, omitted.settlement)), Some(expected));
        }
        assert_eq!(omitted.unwrap().with_refused(&refused, false), None);
    }
}
