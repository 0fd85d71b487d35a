//! Paid runs that deliver a report: the job that reads it asks a model, within its share of what is left of the hold.

use std::sync::Arc;

use sequent_agent::{Engine, Executed, execute};
use sequent_artifacts::{Artifacts, Bucket, testing::bucket};
use sequent_billing::{LedgerAccount, testing};
use sequent_conversation::NewRun;
use sequent_core::{JobId, MicroCredits, TenantId};
use sequent_definitions::ServicePrompts;
use sequent_deliverables::ExtractEntities;
use sequent_event::{Body, Phase, RunOutcome};
use sequent_jobs::{Delivery, Job, Jobs, Registry, Worked, Worker};
use sequent_runlog::{Claim, claim};
use serde_json::{Value, json};

use crate::{
    bench::Bench,
    bills::{paying, settled},
};

/// The bench with the tools that write documents into the bucket, and the artifacts of that bucket.
pub(crate) fn delivering(bench: Bench, bucket: &Bucket) -> (Bench, Artifacts) {
    let artifacts = Artifacts::new(bench.engine.store().clone(), bucket.clone());
    let tools = sequent_tool::Registry::new(sequent_deliverables::tools(&artifacts)).unwrap();
    let engine = Engine { tools: Arc::new(tools), ..bench.engine };
    (Bench { engine, ..bench }, artifacts)
}

/// The script of a run that writes a report. The response to the job that reads the report follows `script`.
pub(crate) fn report(script: &str, text: &str) -> String {
    let report = json!({"type": "report", "version": 1, "title": "Tides", "sections": [
        {"heading": "Findings", "level": 1, "blocks": [
            {"type": "paragraph", "text": text},
            {"type": "code", "text": format!("\n{script}\n")}
        ]}
    ]});
    let args = written(&report);
    format!("Explain.\n/demo tokens=1 rate=0 tool=write_report args={args}\n/demo tokens=3 rate=0")
}

/// The arguments of a directive, which end at a space.
fn written(arguments: &Value) -> String {
    arguments.to_string().replace(' ', "\\u0020")
}

/// A run that has to deliver a report, and may cost `budget` micro-dollars.
pub(crate) async fn paying_report(bench: &Bench, script: &str, budget: u64) -> NewRun {
    let mut run = paying(bench, script, budget).await;
    run.options.deliverable_type = Some("report".into());
    run
}

/// A worker on the jobs that follow a report.
pub(crate) fn worker(bench: &Bench, artifacts: &Artifacts) -> Worker {
    let prompts = ServicePrompts::new(bench.engine.store().clone());
    let kind = ExtractEntities::new(artifacts.clone(), Some(bench.engine.models.clone()), prompts);
    Worker::new(Registry::new().with(kind), bench.engine.storage.clone(), bench.engine.settings)
}

/// Executes the run until it waits for its job.
async fn delivered(bench: &Bench, run: &NewRun) -> JobId {
    let writer = bench.owned(run).await;
    let ended = execute(&bench.engine, bench.key(run.run), *writer, None).await.unwrap();
    let state = bench.state(run.run).await;
    assert_eq!(ended, Executed::Waiting, "{:?}", state.phase);
    state.open_jobs().next().expect("the run waits for the job").job_id
}

async fn row(bench: &Bench, job: JobId) -> Job {
    Jobs::new(bench.engine.store(), bench.tenant).get(job).await.unwrap()
}

async fn failed(bench: &Bench, artifacts: &Artifacts, job: JobId) -> Job {
    let delivery = Delivery { tenant_id: bench.tenant, job_id: job };
    let worked = Box::pin(worker(bench, artifacts).work(delivery, None)).await.unwrap();
    let row = row(bench, job).await;
    assert_eq!((worked, row.error.as_ref().map(|error| &*error.code)), (Worked::Failed, Some("over_budget")));
    row
}

/// Executes the run to its end, and checks that its hold covers everything.
async fn concluded(bench: &Bench, run: &NewRun) -> MicroCredits {
    let claimed = claim(&bench.engine.storage, bench.key(run.run), bench.engine.settings, false, None).await;
    let Ok(Claim::Won(writer)) = claimed else { panic!("{claimed:?}") };
    execute(&bench.engine, bench.key(run.run), *writer, None).await.unwrap();
    let state = bench.state(run.run).await;
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Success), "the report is delivered");
    let posting = settled(bench, run.run).await.unwrap();
    let spent = posting.to(LedgerAccount::Spent);
    assert_eq!(posting.uncovered, MicroCredits::ZERO, "{posting:?}");
    assert_eq!(spent, MicroCredits(i64::try_from(state.totals.cost_micro_usd.0).unwrap()));
    testing::books(bench.engine.store(), bench.tenant, 0).await;
    spent
}

#[tokio::test]
async fn a_job_stops_at_its_share_of_the_hold() {
    let (bucket, _) = bucket().await;
    let (bench, artifacts) = delivering(Bench::priced().await, &bucket);
    let script = report("/demo tokens=20000 rate=0 tool=record_entities", "High water.");
    let run = paying_report(&bench, &script, 60_000).await;
    let job = delivered(&bench, &run).await;
    let state = bench.state(run.run).await;
    let share = state.open_jobs().next().unwrap().budget.max_cost_micro_usd.unwrap();
    assert_eq!(share, (60_000 - state.totals.cost_micro_usd.0) / 2);
    let row = failed(&bench, &artifacts, job).await;
    let cost = row.usage.cost_micro_usd.0;
    assert!((share / 2..=share).contains(&cost), "{cost} of {share}");
    assert!(concluded(&bench, &run).await > MicroCredits(i64::try_from(cost).unwrap()));
}

#[tokio::test]
async fn a_job_for_which_nothing_is_left_does_not_ask_a_model() {
    let (bucket, _) = bucket().await;
    let (bench, artifacts) = delivering(Bench::priced().await, &bucket);
    let script = report("/demo tokens=1 rate=0 tool=record_entities", &"High water. ".repeat(1_500));
    // A tenant of its own, because this run keeps its hold.
    let other = Bench { tenant: TenantId::new(), user: bench.user, engine: bench.engine.clone() };
    let rich = paying_report(&other, &script, 200_000).await;
    delivered(&other, &rich).await;
    // For the last call, a quarter more than its input is reserved, and a useful answer.
    let events = other.events(rich.run).await;
    let mut usages = events.iter().filter_map(|event| match event.body() {
        Some(Body::UsageRecorded(usage)) => Some(usage),
        _ => None,
    });
    let reserved = usages.next_back().unwrap().input_tokens / 4 + 1_000;
    let budget = other.state(rich.run).await.totals.cost_micro_usd.0 + reserved;

    let run = paying_report(&bench, &script, budget).await;
    let job = delivered(&bench, &run).await;
    let row = failed(&bench, &artifacts, job).await;
    assert!(row.usage.is_none(), "{:?}", row.usage);
    concluded(&bench, &run).await;
}
