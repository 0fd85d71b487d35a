//! Runs from start to end: the stored rows, the turn in a project, and ownership.

use std::time::Duration;

use sequent_agent::{Executed, Window, execute};
use sequent_conversation::{
    Cancel, Error, MessageRole, MessageStatus, Prompt, RunStatus, Runs, TurnRequest, cancel, claim, create,
    create_claimed, steer,
};
use sequent_core::ProjectId;
use sequent_event::{Body, CancelReason};
use sequent_runlog::Claim;
use tokio::time::Instant;

use crate::bench::Bench;

#[tokio::test]
async fn the_rows_of_a_finished_run_agree_with_its_log() {
    let bench = Bench::new().await;
    let project = bench.project().await.id;
    let asking = bench.asking(project, "/demo tokens=30 rate=0");
    let writer = bench.owned(&asking).await;
    assert_eq!(execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap(), Executed::Closed);

    let state = bench.state(asking.run).await;
    let row = Runs::new(bench.engine.store(), bench.tenant).get(asking.run).await.unwrap();
    assert_eq!(row, row.clone().projected(&state), "the row repeats the log");
    assert_eq!(row.status, RunStatus::Success);
    let messages = bench.projects().latest_messages(project, 10).await.unwrap();
    let roles: Vec<MessageRole> = messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [MessageRole::User, MessageRole::Assistant]);
    assert_eq!(messages[1].content, state.answer_text());
    assert_eq!(bench.projects().get(project).await.unwrap().live_run_id, None);
}

#[tokio::test]
async fn a_project_has_one_live_run() {
    let bench = Bench::new().await;
    let project = bench.project().await.id;
    let first = bench.asking(project, "one");
    let _writer = bench.owned(&first).await;
    let second = bench.asking(project, "two");
    let refused = create_claimed(&bench.engine.runs(), &second, None).await;
    assert!(matches!(refused, Err(Error::Busy(live)) if live == first.run), "{refused:?}");
    let missing = bench.asking(ProjectId::new(), "three");
    let refused = create_claimed(&bench.engine.runs(), &missing, None).await;
    assert!(matches!(refused, Err(Error::ProjectNotFound)), "{refused:?}");
}

#[tokio::test]
async fn waiting_runs_execute_in_the_order_of_their_creation() {
    let bench = Bench::new().await;
    let runs = bench.engine.runs();
    let project = bench.project().await.id;
    let first = bench.asking(project, "/demo tokens=3 rate=0");
    let writer = bench.owned(&first).await;
    let second = bench.asking(project, "/demo tokens=3 rate=0");
    create(&runs, &second, TurnRequest::Wait).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await; // ids sort by the millisecond
    let third = bench.asking(project, "/demo tokens=3 rate=0");
    create(&runs, &third, TurnRequest::Wait).await.unwrap();
    let row = async |run| Runs::new(bench.engine.store(), bench.tenant).get(run).await.unwrap();

    let claimed = claim(&runs, bench.key(second.run), &row(second.run).await, None).await.unwrap();
    assert!(claimed.is_none(), "the first run has the turn");
    execute(&bench.engine, bench.key(first.run), *writer, None).await.unwrap();
    let claimed = claim(&runs, bench.key(third.run), &row(third.run).await, None).await.unwrap();
    assert!(claimed.is_none(), "the second is earlier");
    bench.watch(second.run).await;
    bench.watch(third.run).await;
    assert_eq!(bench.status(third.run).await, RunStatus::Success);
    let messages = bench.projects().latest_messages(project, 10).await.unwrap();
    assert_eq!(messages.len(), 6);
    assert!(messages.is_sorted_by_key(|message| message.run_id), "messages are sorted by run");
}

#[tokio::test]
async fn a_live_owner_keeps_its_run_even_without_events() {
    let bench = Bench::new().await;
    let project = bench.project().await.id;
    let asking = bench.asking(project, "/demo tokens=20 rate=0");
    let writer = bench.owned(&asking).await;
    let watching = bench.watch(asking.run);
    let owning = async {
        tokio::time::sleep(bench.engine.settings.lease * 4).await;
        assert_eq!(bench.state(asking.run).await.epoch, 1, "the idle owner renews its lease");
        execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    };
    let (events, ()) = tokio::join!(watching, owning);
    assert!(events.last().unwrap().is_terminal());
    assert_eq!(bench.state(asking.run).await.epoch, 1);
}

#[tokio::test]
async fn an_unfinished_message_is_abandoned_and_written_again() {
    let bench = Bench::new().await;
    let project = bench.project().await.id;
    let asking = bench.asking(project, "/demo tokens=20 rate=0");
    let writer = bench.owned(&asking).await;
    let message_id = sequent_core::MessageId::new();
    let role = sequent_event::Role::Assistant;
    writer.append(Body::TextMessageStart { message_id, role }).await.unwrap();
    writer.append(Body::TextMessageContent { message_id, delta: "half an ans".into() }).await.unwrap();
    writer.release().await.unwrap();
    let events = bench.watch(asking.run).await;
    let seqs: Vec<u64> = events.iter().map(|event| event.seq.0).collect();
    assert_eq!(seqs, (1..=events.len() as u64).collect::<Vec<_>>(), "every event once and in order");
    assert!(events.iter().any(|event| matches!(event.body(), Some(Body::MessageAbandoned { .. }))));
    let answer = bench.state(asking.run).await.answer_text();
    assert!(!answer.contains("half an ans"));
    let messages = bench.projects().latest_messages(project, 10).await.unwrap();
    assert_eq!(messages.last().unwrap().content, answer);
}

#[tokio::test]
async fn a_cancelled_run_keeps_its_partial_answer() {
    let bench = Bench::new().await;
    let project = bench.project().await.id;
    for (reason, kept) in [(CancelReason::Requested, 2), (CancelReason::RolledBack, 2)] {
        let asking = bench.asking(project, "/demo tokens=50000 rate=200");
        let writer = bench.owned(&asking).await;
        let key = bench.key(asking.run);
        let engine = bench.engine.clone();
        let running = tokio::spawn(async move { execute(&engine, key, *writer, None).await });
        loop {
            let state = bench.state(asking.run).await;
            assert!(!state.phase.is_closed(), "the run ended before the cancel: {:?}", state.phase);
            if state.open.is_some_and(|open| !open.text.is_empty()) {
                break;
            }
        }
        let runs = bench.engine.runs();
        let key = bench.key(asking.run);
        let asked = Instant::now();
        let outcome = cancel(&runs, key, Some(bench.user), reason).await.unwrap();
        assert!(
            matches!(outcome, Cancel::Requested | Cancel::Done),
            "the owner may end the run before the answer"
        );
        assert_eq!(running.await.unwrap().unwrap(), Executed::Closed);
        assert!(asked.elapsed() < Duration::from_secs(60), "much less than the complete answer would take");
        assert_eq!(bench.status(asking.run).await, RunStatus::Cancelled);
        let again = cancel(&runs, key, None, reason).await.unwrap();
        assert_eq!(again, Cancel::AlreadyEnded);
        let messages = bench.projects().latest_messages(project, 10).await.unwrap();
        assert_eq!(messages.len(), kept, "{reason:?}");
        assert_eq!(messages[1].status, MessageStatus::Partial);
    }
}

#[tokio::test]
async fn a_run_without_an_owner_is_cancelled_directly() {
    let bench = Bench::new().await;
    let runs = bench.engine.runs();
    let project = bench.project().await.id;
    let dead = bench.asking(project, "one");
    bench.owned(&dead).await.release().await.unwrap();
    let waiting = bench.asking(project, "two");
    create(&runs, &waiting, TurnRequest::Wait).await.unwrap();
    for run in [waiting.run, dead.run] {
        let outcome = cancel(&runs, bench.key(run), None, CancelReason::Requested).await.unwrap();
        assert_eq!(outcome, Cancel::Done);
        assert_eq!(bench.status(run).await, RunStatus::Cancelled);
    }
    assert_eq!(bench.projects().get(project).await.unwrap().live_run_id, None);
    bench.projects().delete(project).await.unwrap();
    assert!(matches!(bench.projects().get(project).await, Err(Error::ProjectNotFound)));
}

#[tokio::test]
async fn before_its_deadline_an_owner_hands_over_and_the_next_one_finishes() {
    let bench = Bench::new().await;
    let project = bench.project().await.id;
    let asking = bench.asking(project, "/demo tokens=100 rate=40");
    let writer = bench.owned(&asking).await;
    let window = Window::until(Instant::now() + Duration::from_millis(2000));
    let ended = execute(&bench.engine, bench.key(asking.run), *writer, Some(window)).await.unwrap();
    assert_eq!(ended, Executed::HandedOver);
    assert_eq!(bench.status(asking.run).await, RunStatus::Running);
    let events = bench.watch(asking.run).await;
    assert_eq!(events.iter().filter(|event| event.is_terminal()).count(), 1);
    assert_eq!(bench.status(asking.run).await, RunStatus::Success);
}

#[tokio::test]
async fn a_long_run_makes_progress_in_every_invocation() {
    let bench = Bench::new().await;
    let call = "/demo tokens=6 rate=24 tool=cite_source args={\"url\":\"https://a.test/\",\"title\":\"a\"}\n";
    let asking = bench.asking(bench.project().await.id, &format!("{}/demo tokens=3 rate=24", call.repeat(9)));
    let mut writer = bench.owned(&asking).await;
    let key = bench.key(asking.run);
    let mut invocations = 1;
    loop {
        // Much less than the margins of a long invocation.
        let window = Window::until(Instant::now() + Duration::from_millis(1500));
        if execute(&bench.engine, key, *writer, Some(window)).await.unwrap() == Executed::Closed {
            break;
        }
        let claimed =
            sequent_runlog::claim(&bench.engine.storage, key, bench.engine.settings, false, None).await;
        let Claim::Won(next) = claimed.unwrap() else { panic!("the lease was released") };
        writer = next;
        invocations += 1;
    }
    assert!(invocations > 1, "no invocation had time for all of it");
    let state = bench.state(asking.run).await;
    assert_eq!(
        (bench.status(asking.run).await, state.model_calls),
        (RunStatus::Success, 10),
        "no call is repeated"
    );
}

#[tokio::test]
async fn the_usage_of_a_response_that_a_deadline_cut_is_counted() {
    let bench = Bench::new().await;
    let asking = bench.asking(bench.project().await.id, "/demo tokens=100 rate=40");
    let writer = bench.owned(&asking).await;
    let key = bench.key(asking.run);
    let window = Window::until(Instant::now() + Duration::from_millis(2000));
    assert_eq!(execute(&bench.engine, key, *writer, Some(window)).await.unwrap(), Executed::HandedOver);
    let cut = bench.state(asking.run).await;
    assert_eq!((cut.model_calls, cut.open.clone(), cut.draft.clone()), (0, None, None), "no response");
    assert!(cut.totals.output_tokens > 0 && cut.totals.output_tokens < 100, "{:?}", cut.totals);
    let claimed = sequent_runlog::claim(&bench.engine.storage, key, bench.engine.settings, false, None).await;
    let Claim::Won(writer) = claimed.unwrap() else { panic!("the lease was released") };
    execute(&bench.engine, key, *writer, None).await.unwrap();
    let state = bench.state(asking.run).await;
    assert_eq!((state.model_calls, state.answers.len()), (1, 1));
    assert_eq!(state.totals.output_tokens, cut.totals.output_tokens + 100);
}

#[tokio::test]
async fn a_model_error_ends_the_run_and_keeps_the_partial_answer() {
    let bench = Bench::new().await;
    let project = bench.project().await.id;
    let asking = bench.asking(project, "/demo tokens=20 rate=0 fail_after=5 error=truncated");
    let writer = bench.owned(&asking).await;
    execute(&bench.engine, bench.key(asking.run), *writer, None).await.unwrap();
    let row = Runs::new(bench.engine.store(), bench.tenant).get(asking.run).await.unwrap();
    assert_eq!((row.status, row.error.unwrap().code.as_str()), (RunStatus::Error, "model_truncated"));
    let messages = bench.projects().latest_messages(project, 10).await.unwrap();
    assert_eq!(messages[1].status, MessageStatus::Partial);
    assert_eq!(bench.projects().get(project).await.unwrap().live_run_id, None);
}

#[tokio::test]
async fn a_message_during_a_run_is_answered_before_the_run_ends() {
    let bench = Bench::new().await;
    let asking = bench.asking(bench.project().await.id, "/demo tokens=240 rate=30");
    let writer = bench.owned(&asking).await;
    let engine = bench.engine.clone();
    let key = bench.key(asking.run);
    let running = tokio::spawn(async move { execute(&engine, key, *writer, None).await });
    while bench.state(asking.run).await.open.is_none() {}
    let said = Prompt::try_from("And in short?".to_owned()).unwrap();
    steer(&bench.engine.storage, key, bench.user, said).await.unwrap();
    assert_eq!(running.await.unwrap().unwrap(), Executed::Closed);
    let state = bench.state(asking.run).await;
    assert_eq!((state.model_calls, state.prompts_seen), (2, 2));
    assert!(state.answers[1].text.contains("And in short?"), "the demo quotes the last message");
    let messages = bench.projects().latest_messages(asking.project, 10).await.unwrap();
    let roles: Vec<MessageRole> = messages.iter().map(|message| message.role).collect();
    let exchange = [MessageRole::User, MessageRole::Assistant];
    assert_eq!(roles, [exchange, exchange].concat(), "each answer comes before the message that followed it");
    let answers = [&messages[1].content, &messages[3].content];
    assert_eq!(answers, [&state.answers[0].text, &state.answers[1].text]);
}
