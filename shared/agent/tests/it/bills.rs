//! Runs that are paid for: a run stops where its credits end, and pays what it used.

use std::time::Duration;

use sequent_agent::{Bounds, Engine, execute};
use sequent_billing::{Account, Ledger, LedgerAccount, Markup, Plans, Posting, Quote, Terms, testing};
use sequent_conversation::{NewRun, RunStatus, Runs, SettleRun, cancel};
use sequent_core::{JobId, MessageId, MicroCredits, MicroUsd, PostingId, RunId, Timestamp};
use sequent_event::{Body, CancelReason, ChildEnd, Orchestration, Phase, Role, RunOutcome, State, Usage};
use sequent_jobs::{Delivery, Jobs, Registry, Worked, Worker};
use sequent_runlog::{Claim, Settings, claim};
use sequent_tables::key;
use serde_json::json;

use crate::bench::Bench;

fn terms() -> Terms {
    Terms {
        plans: Plans::default(),
        markup: Markup(100),
        usual_hold: MicroCredits(1),
        welcome: MicroCredits::whole(1),
        unverified_usd: None,
        metered: false,
    }
}

/// A run that may cost `budget` micro-dollars, with the hold that covers them.
pub(crate) async fn paying(bench: &Bench, content: &str, budget: u64) -> NewRun {
    let ledger = Ledger::new(bench.engine.store().clone(), bench.tenant);
    let quote = Quote {
        model: Some("demo"),
        fallbacks: &[],
        first_call: MicroUsd(1),
        budget: Some(MicroUsd(budget)),
    };
    let reservation = ledger.reserve(&terms(), quote, Timestamp::now()).await.unwrap();
    assert_eq!(reservation.max_cost(), Some(MicroUsd(budget)), "the account has enough credits");
    let project = bench.project().await.id;
    NewRun { reservation: Some(Box::new(reservation)), ..bench.asking(project, content) }
}

/// A plan whose independent steps are carried out by children with this script.
pub(crate) fn plan(steps: usize, script: &str) -> String {
    let step =
        |n: usize| json!({"id": format!("s{n}"), "title": "t", "instructions": script, "independent": true});
    let plan = json!({"steps": (0..steps).map(step).collect::<Vec<_>>()}).to_string().replace(' ', "\\u0020");
    format!("Compare.\n/demo tokens=1 rate=0 tool=write_plan args={plan}\n/demo tokens=5 rate=0")
}

/// Executes the run and its children until it has ended.
async fn work(bench: &Bench, run: RunId) -> State {
    for _ in 0..50 {
        for child in bench.state(run).await.children {
            let row = Runs::new(bench.engine.store(), bench.tenant).get(child.run).await.unwrap();
            let runs = bench.engine.runs();
            let claimed = sequent_conversation::claim(&runs, bench.key(child.run), &row, None).await;
            if let Some(writer) = claimed.unwrap() {
                execute(&bench.engine, bench.key(child.run), *writer, None).await.unwrap();
            }
        }
        let key = bench.key(run);
        match claim(&bench.engine.storage, key, bench.engine.settings, true, None).await.unwrap() {
            Claim::Won(writer) => drop(execute(&bench.engine, key, *writer, None).await.unwrap()),
            Claim::Closed => return bench.state(run).await,
            other => panic!("{other:?}"),
        }
    }
    panic!("the run does not end");
}

async fn executed(bench: &Bench, run: &NewRun) -> State {
    let writer = bench.owned(run).await;
    execute(&bench.engine, bench.key(run.run), *writer, None).await.unwrap();
    bench.state(run.run).await
}

/// The posting of a run that has been settled.
pub(crate) async fn settled(bench: &Bench, run: RunId) -> Option<Posting> {
    let posting = key::posting(bench.tenant, PostingId::from_bits(run.bits()));
    bench.engine.store().get(&posting).await.unwrap()
}

fn code(state: &State) -> &str {
    match &state.phase {
        Phase::Failed { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_response_ends_where_the_hold_ends() {
    let bench = Bench::priced().await;
    let run = paying(&bench, "/demo tokens=20000 rate=0", 20_000).await;
    let state = executed(&bench, &run).await;
    assert_eq!(code(&state), "cost_limit");
    let cost = state.totals.cost_micro_usd;
    assert!((15_000..=20_000).contains(&cost.0), "{cost:?}");
    assert!(!state.answer_text().is_empty(), "what was said is kept");
    let posting = settled(&bench, run.run).await.unwrap();
    let spent = posting.to(LedgerAccount::Spent);
    assert_eq!((spent, posting.uncovered), (MicroCredits(cost.0 as i64), MicroCredits::ZERO));
    testing::books(bench.engine.store(), bench.tenant, 0).await;
}

#[tokio::test]
async fn the_call_of_an_owner_that_was_killed_in_its_response_is_on_the_bill() {
    let bench = Bench::priced().await;
    let run = paying(&bench, "/demo tokens=40 rate=0", 50_000).await;
    let writer = bench.owned(&run).await;
    let message_id = MessageId::new();
    writer.append(Body::TextMessageStart { message_id, role: Role::Assistant }).await.unwrap();
    let delta = "tide ".repeat(100);
    writer.append(Body::TextMessageContent { message_id, delta }).await.unwrap();
    writer.release().await.unwrap();

    let key = bench.key(run.run);
    let claimed = claim(&bench.engine.storage, key, bench.engine.settings, true, None).await.unwrap();
    let Claim::Won(writer) = claimed else { panic!("the lease was released") };
    execute(&bench.engine, key, *writer, None).await.unwrap();
    let events = bench.events(run.run).await;
    let recorded = events.iter().filter_map(|event| match event.body() {
        Some(Body::UsageRecorded(usage)) => Some(usage),
        _ => None,
    });
    let recorded: Vec<&Usage> = recorded.collect();
    let [lost, told] = &recorded[..] else { panic!("two calls: {recorded:?}") };
    assert!(lost.estimated && lost.finish_reason == Usage::ABANDONED, "{lost:?}");
    assert_eq!((lost.input_tokens, lost.output_tokens), (told.input_tokens, 125));
    let cost = lost.cost_micro_usd.unwrap() + told.cost_micro_usd.unwrap();
    assert_eq!(settled(&bench, run.run).await.unwrap().to(LedgerAccount::Spent).0, cost.0 as i64);
}

#[tokio::test]
async fn a_run_ends_before_a_call_that_it_cannot_pay() {
    let bench = Bench::priced().await;
    let message = format!("{}\n/demo tokens=5 rate=0", "tide ".repeat(2_000));
    let run = paying(&bench, &message, 1_000).await;
    let state = executed(&bench, &run).await;
    assert_eq!((code(&state), state.model_calls), ("cost_limit", 0));
    assert_eq!(settled(&bench, run.run).await.unwrap().to(LedgerAccount::Spent), MicroCredits::ZERO);
}

#[tokio::test]
async fn children_draw_on_shares_of_their_parents_hold() {
    let bench = Bench::priced().await;
    let mut run = paying(&bench, &plan(3, "/demo tokens=20000 rate=0"), 90_000).await;
    run.options.orchestration = Orchestration::Plan;
    executed(&bench, &run).await;
    let state = work(&bench, run.run).await;
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success), "a share is left for the conclusion");
    for child in &state.children {
        assert!(matches!(&child.ended, Some(ChildEnd::Failure { code, .. }) if code == "cost_limit"));
    }
    let posting = settled(&bench, run.run).await.unwrap();
    assert!(posting.to(LedgerAccount::Spent) > MicroCredits(50_000), "{posting:?}");
    assert_eq!(posting.uncovered, MicroCredits::ZERO);
    testing::books(bench.engine.store(), bench.tenant, 0).await;
}

#[tokio::test]
async fn a_response_that_is_cut_by_the_limit_of_the_deployment_ends_the_run_and_is_not_complete() {
    let bench = Bench::priced().await;
    let bounds = Bounds { output_tokens: 100, ..bench.engine.bounds };
    let bench = Bench { engine: Engine { bounds, ..bench.engine.clone() }, ..bench };
    let run = paying(&bench, "/demo tokens=500 rate=0", 50_000).await;
    let state = executed(&bench, &run).await;
    assert!(
        matches!(&state.phase, Phase::Failed { code, .. } if code == "model_length"),
        "{:?}",
        state.phase
    );
    assert_eq!(state.totals.output_tokens, 100);
    assert!(!state.answer_text().is_empty(), "the part stays");
}

/// Does the work of the job that settles a run late.
pub(crate) async fn settle_late(bench: &Bench, run: RunId) -> Worked {
    let registry = Registry::new().with(SettleRun);
    let worker = Worker::new(registry, bench.engine.storage.clone(), bench.engine.settings);
    let delivery = Delivery { tenant_id: bench.tenant, job_id: JobId::from_bits(run.bits() ^ 2) };
    Box::pin(worker.work(delivery, None)).await.unwrap()
}

/// The cost of all model calls in the logs of a run and of its children, and in the rows of its jobs.
pub(crate) async fn recorded(bench: &Bench, run: RunId) -> MicroUsd {
    let mut cost = MicroUsd(0);
    let mut runs = vec![run];
    while let Some(run) = runs.pop() {
        for event in bench.events(run).await {
            match event.body() {
                Some(Body::UsageRecorded(usage)) => cost += usage.cost_micro_usd.unwrap_or_default(),
                Some(Body::SubagentStarted { subagent_run_id, .. }) => runs.push(*subagent_run_id),
                // A job that was cancelled before it was created has no row.
                Some(Body::JobEnqueued(job)) => {
                    let row = Jobs::new(bench.engine.store(), bench.tenant).get(job.job_id).await;
                    cost += row.map(|row| row.usage.cost_micro_usd).unwrap_or_default();
                }
                _ => {}
            }
        }
    }
    cost
}

/// A model call that cost this much.
fn usage(cost: u64) -> Body {
    Body::UsageRecorded(Usage {
        cost_micro_usd: Some(MicroUsd(cost)),
        estimated: true,
        finish_reason: "cancelled".into(),
        ..sequent_event::testing::usage()
    })
}

#[tokio::test]
async fn children_that_are_at_work_when_their_parent_ends_are_paid_for() {
    let bench = Bench::priced().await;
    // The owner of the child is alive during the whole test, however busy the machine is.
    let lease = Duration::from_secs(600);
    let settings = Settings { lease, renew: lease / 4, ..bench.engine.settings };
    let bench = Bench { engine: Engine { settings, ..bench.engine.clone() }, ..bench };
    let mut run = paying(&bench, &plan(1, "/demo tokens=10 rate=0"), 200_000).await;
    run.options.orchestration = Orchestration::Plan;
    let state = executed(&bench, &run).await;
    let child = state.children[0].run;
    let row = Runs::new(bench.engine.store(), bench.tenant).get(child).await.unwrap();
    let claimed = sequent_conversation::claim(&bench.engine.runs(), bench.key(child), &row, None).await;
    let writer = claimed.unwrap().expect("the child is pending");

    let reason = CancelReason::Requested;
    cancel(&bench.engine.runs(), bench.key(run.run), None, reason).await.unwrap();
    assert_eq!(bench.status(run.run).await, RunStatus::Cancelled);
    assert_eq!(settle_late(&bench, run.run).await, Worked::Again, "the child has not ended");
    let account: Account = bench.engine.store().get(&key::account(bench.tenant)).await.unwrap().unwrap();
    assert!(account.holds.contains_key(&run.run) && settled(&bench, run.run).await.is_none());

    // The owner of the child writes down what it used before it meets the cancellation.
    let started = Body::RunStarted { thread_id: run.project, run_id: child, parent_run_id: Some(run.run) };
    writer.append(started).await.unwrap();
    writer.append(usage(7_000)).await.unwrap();
    writer.release().await.unwrap();
    let claimed = claim(&bench.engine.storage, bench.key(child), settings, true, None).await.unwrap();
    let Claim::Won(writer) = claimed else { panic!("the lease was released") };
    execute(&bench.engine, bench.key(child), *writer, None).await.unwrap();
    assert_eq!(bench.status(child).await, RunStatus::Cancelled);
    while settle_late(&bench, run.run).await != Worked::Success {
        tokio::time::sleep(bench.engine.settings.idle_check).await;
    }
    let used = recorded(&bench, run.run).await;
    assert_eq!(used.0, bench.state(run.run).await.totals.cost_micro_usd.0 + 7_000, "more than the log knows");
    let posting = settled(&bench, run.run).await.unwrap();
    let paid = (posting.to(LedgerAccount::Spent), posting.uncovered);
    assert_eq!(paid, (MicroCredits(i64::try_from(used.0).unwrap()), MicroCredits::ZERO));
    let row = Runs::new(bench.engine.store(), bench.tenant).get(run.run).await.unwrap();
    assert_eq!(row.cost.micro_usd, used);
    assert_eq!(settle_late(&bench, run.run).await, Worked::Nothing, "once");
    testing::books(bench.engine.store(), bench.tenant, 0).await;
}
