use sequent_core::InterruptId;
use sequent_event::{CancelReason, Event, Interrupt, Question, Reason, RunOutcome};
use sequent_runlog::{Claim, Segment, read_all};

use super::*;
use crate::{
    Cancel, NewRun, RunStatus, cancel,
    testing::{Conversation, append_all, response},
};

fn comment(text: &str) -> Option<Rating> {
    Some(Rating { comment: Some(text.to_owned()), ..Rating::default() })
}

async fn give(
    of: &Conversation,
    run: RunId,
    message: Option<MessageId>,
    rating: Option<Rating>,
) -> Result<Option<Feedback>, Error> {
    let on = FeedbackTarget { run, message };
    Box::pin(give_feedback(of.runs.storage(), of.tenant, on, of.user, rating)).await
}

async fn log(of: &Conversation, run: RunId) -> Vec<Event> {
    let segments = read_all(of.runs.storage(), LogKey { tenant: of.tenant, run }).await.unwrap();
    segments.iter().flat_map(Segment::events).collect()
}

async fn shown(of: &Conversation, run: RunId) -> Vec<Feedback> {
    let run = Runs::new(of.runs.tables(), of.tenant).get(run).await.unwrap();
    feedback_of_run(of.runs.tables(), of.tenant, &run).await.unwrap()
}

/// A run that has ended, with its only answer.
async fn answered(of: &Conversation) -> (NewRun, MessageId) {
    let new = of.asking();
    let writer = of.begin(&new).await;
    append_all(&writer, response("High tide is at noon.", 1, "stop")).await;
    of.end(&writer, &new, Vec::new(), RunOutcome::Success).await;
    let answer = of.messages().await.last().unwrap().id;
    (new, answer)
}

#[tokio::test]
async fn feedback_is_replaced_and_removed_in_the_log_and_in_the_row() {
    let of = Conversation::new().await;
    let (new, answer) = answered(&of).await;
    let ended = log(&of, new.run).await.len();
    let first = give(&of, new.run, None, comment("Good.")).await.unwrap().unwrap();
    assert_eq!((first.run_id, first.user_id, first.agent.clone()), (new.run, of.user, None));
    let again = give(&of, new.run, None, comment("Good.")).await.unwrap().unwrap();
    assert_eq!((again.comment, log(&of, new.run).await.len()), (first.comment, ended + 1));
    give(&of, new.run, Some(answer), comment("Too short.")).await.unwrap().unwrap();
    give(&of, new.run, None, comment("Fine.")).await.unwrap().unwrap();
    let comments =
        |given: Vec<Feedback>| given.into_iter().map(|given| given.comment.unwrap()).collect::<Vec<_>>();
    assert_eq!(comments(shown(&of, new.run).await), ["Fine.", "Too short."]);
    assert_eq!(give(&of, new.run, None, None).await.unwrap(), None);
    assert_eq!(give(&of, new.run, None, None).await.unwrap(), None);
    assert_eq!(comments(shown(&of, new.run).await), ["Too short."]);
    assert_eq!(log(&of, new.run).await.len(), ended + 4);
}

#[tokio::test]
async fn an_ended_run_stays_ended() {
    let of = Conversation::new().await;
    let (new, _) = answered(&of).await;
    give(&of, new.run, None, comment("Good.")).await.unwrap();
    let key = new.key();
    let claimed =
        sequent_runlog::claim(of.runs.storage(), key, of.runs.settings(), true, None).await.unwrap();
    assert!(matches!(claimed, Claim::Closed), "{claimed:?}");
    let cancelled = Box::pin(cancel(&of.runs, key, None, CancelReason::Requested)).await.unwrap();
    assert_eq!(cancelled, Cancel::AlreadyEnded);
    let run = Runs::new(of.runs.tables(), of.tenant).get(new.run).await.unwrap();
    assert_eq!(run.status, RunStatus::Success);
}

#[tokio::test]
async fn feedback_while_the_owner_writes_is_kept_between_its_events() {
    let of = Conversation::new().await;
    let new = of.asking();
    let writer = of.begin(&new).await;
    append_all(&writer, response("High tide", 1, "stop")).await;
    writer.flush().await.unwrap();
    give(&of, new.run, None, comment("Good.")).await.unwrap().unwrap();
    of.end(&writer, &new, response("is at noon.", 1, "stop"), RunOutcome::Success).await;
    let names: Vec<String> =
        log(&of, new.run).await.iter().map(|event| event.entry.type_name().to_owned()).collect();
    let at = |name: &str| names.iter().position(|other| other == name).unwrap();
    assert!(at("FEEDBACK_GIVEN") < at("RUN_FINISHED"), "{names:?}");
    assert_eq!(shown(&of, new.run).await.len(), 1);
}

#[tokio::test]
async fn a_run_that_waits_for_a_person_can_be_rated_and_cancelled() {
    let of = Conversation::new().await;
    let new = of.asking();
    let writer = of.begin(&new).await;
    let question = Question {
        reason: Reason::Question,
        message: "Which harbour?".to_owned(),
        tool_call_id: None,
        call: None,
        response_schema: None,
        expires_at: None,
    };
    let interrupt = Interrupt { id: InterruptId::new(), question: question.clone() };
    let asked = Body::ClarificationNeeded { interrupt_id: interrupt.id, question };
    of.end(&writer, &new, vec![asked], RunOutcome::Interrupt { interrupts: vec![interrupt] }).await;
    give(&of, new.run, None, comment("Why does it ask?")).await.unwrap().unwrap();
    let cancelled = Box::pin(cancel(&of.runs, new.key(), None, CancelReason::Requested)).await.unwrap();
    assert_eq!(cancelled, Cancel::Done);
}

#[tokio::test]
async fn what_cannot_be_rated_is_not_found() {
    let of = Conversation::new().await;
    let (new, answer) = answered(&of).await;
    let refused = give(&of, new.run, Some(MessageId::new()), comment("?")).await;
    assert!(matches!(refused, Err(Error::AnswerNotFound)), "{refused:?}");
    let on = FeedbackTarget { run: new.run, message: Some(answer) };
    let refused =
        Box::pin(give_feedback(of.runs.storage(), TenantId::new(), on, of.user, comment("?"))).await;
    assert!(matches!(refused, Err(Error::RunNotFound)), "{refused:?}");
    of.projects().delete(of.project).await.unwrap();
    let refused = give(&of, new.run, None, comment("?")).await;
    assert!(matches!(refused, Err(Error::RunNotFound)), "{refused:?}");
}

#[tokio::test]
async fn the_changes_of_one_run_are_bounded() {
    let of = Conversation::new().await;
    let (new, _) = answered(&of).await;
    for n in 0..Feedback::MAX_CHANGES {
        give(&of, new.run, None, comment(&format!("{n}"))).await.unwrap();
    }
    let refused = give(&of, new.run, None, comment("?")).await;
    assert!(matches!(refused, Err(Error::TooMuchFeedback)), "{refused:?}");
    assert_eq!(give(&of, new.run, None, None).await.unwrap(), None, "it can be taken back");
}

#[tokio::test]
async fn lists_are_by_agent_and_leave_deleted_conversations_out() {
    let of = Conversation::new().await;
    let (new, answer) = answered(&of).await;
    give(&of, new.run, None, comment("Good.")).await.unwrap();
    give(&of, new.run, Some(answer), comment("Fine.")).await.unwrap();
    let cursors = CursorKey::new("a key for tests".to_owned().into());
    let list = async |filter, cursor: Option<String>| {
        list_feedback(of.runs.tables(), of.tenant, filter, &cursors, cursor.as_deref(), Some(1)).await
    };
    let first = list(FeedbackFilter::All, None).await.unwrap();
    let second = list(FeedbackFilter::All, first.next_cursor(&cursors)).await.unwrap();
    assert_ne!(first.items, second.items);
    assert_eq!((first.items.len(), second.items.len()), (1, 1));
    let agent = NumberedAgent { agent: AgentId::new(), version: 1 };
    assert!(list(FeedbackFilter::Version(agent), None).await.unwrap().items.is_empty());
    let foreign = list(FeedbackFilter::Agent(agent.agent), first.next_cursor(&cursors)).await;
    assert!(matches!(foreign, Err(Error::Cursor(_))), "{foreign:?}");
    of.projects().delete(of.project).await.unwrap();
    assert!(list(FeedbackFilter::All, None).await.unwrap().items.is_empty());
}
