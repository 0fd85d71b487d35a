//! Read units of many readers of one run: of one whose model thinks, and of one whose model answers.
//!
//! The readers follow the run as another process than its owner does. They share this process, because their number of
//! processes would measure the machine and not the reads.

use std::time::Duration;

use sequent_agent::{Engine, Live, OnCut, Source, execute};
use sequent_conversation::{NewRun, create_claimed};
use sequent_core::{ProjectId, RunId};
use sequent_event::Seq;
use sequent_model::Config;
use sequent_runlog::{DynamoStorage, LogKey};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    client::Client,
    report::{Report, Row},
    stack::Stack,
    usage::Usage,
};

const READERS: usize = 200;
/// Time until every reader has caught up and polls at its pace.
const SETTLED: Duration = Duration::from_secs(5);

/// Read units a second that the readers of a quiet run may need: a tenth of what they needed when each of them polled with
/// strongly consistent reads twice a second.
const TARGET_QUIET: f64 = 44.0;

/// Adds two rows to the report.
pub(crate) async fn measure(
    stack: &Stack,
    client: &Client,
    quick: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let measured = Duration::from_secs(if quick { 5 } else { 20 });
    let row = |what: &str, usage: &Usage| {
        let per_second = usage.read_units / measured.as_secs_f64();
        let note = format!("in {} s: {}; {}", measured.as_secs(), usage.breakdown(), usage.operations());
        Row::new(format!("{READERS} readers of a {what} run"), per_second, "RRU/s").note(note)
    };
    let quiet = usage(stack, client, "/demo tokens=1 delay_first=600000", measured).await?;
    report.add(row("quiet", &quiet).at_most(TARGET_QUIET));
    let streaming = usage(stack, client, "/demo tokens=6000 rate=20", measured).await?;
    report.add(row("streaming", &streaming));
    Ok(())
}

async fn usage(stack: &Stack, client: &Client, script: &str, measured: Duration) -> anyhow::Result<Usage> {
    let storage = DynamoStorage::new(stack.store());
    let engine = Engine::new(storage, sequent_model::Client::new(Config::demo()));
    let tenant = client.tenant.ok_or_else(|| anyhow::anyhow!("not signed in"))?;
    let user = client.user.ok_or_else(|| anyhow::anyhow!("not signed in"))?;
    let key = LogKey { tenant, run: RunId::new() };
    let new =
        NewRun { run: key.run, new_project: true, ..NewRun::new(tenant, user, ProjectId::new(), script) };
    let writer = create_claimed(&engine.runs(), &new, None).await?;
    // Dropped at the end, with the owner and the clients. The readers notice that their clients have left.
    let mut tasks = JoinSet::new();
    let owner = engine.clone();
    tasks.spawn(async move { drop(Box::pin(execute(&owner, key, *writer, None)).await) });
    for _ in 0..READERS {
        let mut items = Live::stream(engine.clone(), key, Seq::START, Source::Elsewhere, OnCut::GiveUp, None);
        tasks.spawn(async move { while items.recv().await.is_some() {} });
    }
    sleep(SETTLED).await;
    stack.begin_count().await?;
    sleep(measured).await;
    let counted = stack.end_count().await?;
    tasks.shutdown().await;
    Ok(counted)
}
