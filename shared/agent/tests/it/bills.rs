//! Runs that are paid for: a run stops where its credits end, and pays what it used.

use sequent_agent::{Bounds, Engine, execute};
use sequent_billing::{Ledger, LedgerAccount, Markup, Plans, Posting, Quote, Terms, testing};
use sequent_conversation::{NewRun, Runs};
use sequent_core::{MicroCredits, MicroUsd, PostingId, RunId, Timestamp};
use sequent_event::{ChildEnd, Orchestration, Phase, RunOutcome, State};
use sequent_runlog::{Claim, claim};
use sequent_tables::key;
use serde_json::json;

use crate::bench::Bench;

fn terms() -> Terms {
    Terms {
        plans: Plans::default(),
        markup: Markup(100),
        usual_hold: MicroCredits(1),
        welcome: MicroCredits::whole(1),
        metered: false,
    }
}

/// A run that may cost `budget` micro-dollars, with the hold that covers them.
pub(crate) async fn paying(bench: &Bench, content: &str, budget: u64) -> NewRun {
    let ledger = Ledger::new(bench.engine.store().clone(), bench.tenant);
    let quote = Quote { model: Some("demo"), first_call: MicroUsd(1), budget: Some(MicroUsd(budget)) };
    let reservation = ledger.quote(&terms(), quote, Timestamp::now()).await.unwrap();
    assert_eq!(reservation.max_cost(), MicroUsd(budget), "the account has enough credits");
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
async fn the_limit_of_the_deployment_cuts_a_response_and_does_not_end_the_run() {
    let bench = Bench::priced().await;
    let bounds = Bounds { output_tokens: 100, ..bench.engine.bounds };
    let bench = Bench { engine: Engine { bounds, ..bench.engine.clone() }, ..bench };
    let run = paying(&bench, "/demo tokens=500 rate=0", 50_000).await;
    let state = executed(&bench, &run).await;
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success));
    assert_eq!(state.totals.output_tokens, 100);
}
