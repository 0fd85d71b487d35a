//! A tenant that does its worst, and the chat of another one beside it, through the whole stack with the limits of a
//! deployment. On one machine the tenants share its cores and one emulator of all services, which AWS does not have: the
//! row of the cores shows how much of a slower answer that may explain.

mod bill;
mod load;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use sequent_local::runtime::FunctionUsage;
use serde_json::json;

use crate::{
    arguments::Arguments,
    background::Background,
    client::Client,
    process,
    report::{Report, Row},
    sample::Sample,
};
use bill::{Bill, Consumption, Prices};
use load::NoisyTenant;

/// The limits of a deployment, which the one-machine stack does not have.
const RATE_LIMITS: &str = "read=1200,write=600,chat=120,auth=30";
/// A delay that is allowed to grow at most by this factor.
const FACTOR: f64 = 2.0;
/// The time between two messages of the quiet tenant, so that it stays below its rate limit.
const PAUSE: Duration = Duration::from_millis(700);
/// Turns of a conversation before a new one begins.
const CONVERSATION: usize = 10;

/// Measures both tenants. The noisy one has the minutes of the arguments, the quiet one half of that alone before.
pub(crate) async fn measure(arguments: &Arguments, report: &mut Report) -> anyhow::Result<()> {
    let consumption = Arc::new(Consumption::default());
    let system = Background::start_with(&arguments.bin_dir, |options| {
        options.env.insert("RATE_LIMIT_PER_MINUTE".into(), RATE_LIMITS.into());
        // The defaults of the code, which are those of the template.
        options.env.insert("TENANT_LIMITS".into(), String::new());
        options.capacity = consumption.observer();
    });
    let Some(system) = system.await.context("the whole stack does not start")? else {
        report.skipped("a noisy tenant: scripts/install emulator");
        return Ok(());
    };
    let time = Duration::from_secs(60) * arguments.minutes.max(1) / if arguments.quick { 4 } else { 1 };
    let quiet = system.sign_up().await?;
    consumption.of_quiet(&quiet);
    let noisy = NoisyTenant::new(system.sign_up().await?, &quiet);
    // Starts the instances.
    phase(&system, &consumption, turns(&quiet, Duration::from_secs(3))).await?;
    let alone = phase(&system, &consumption, turns(&quiet, time / 2)).await?;
    let noisy = Arc::new(noisy.with_long_runs().await?);
    let both = async {
        let (turns, ()) = tokio::join!(turns(&quiet, time), noisy.clone().work(time));
        turns
    };
    let beside = phase(&system, &consumption, both).await?;
    delays(&alone, &beside, report);
    bill(&alone, &beside, &noisy, report)?;
    system.stop().await;
    Ok(())
}

/// One turn of the quiet tenant.
struct Turn {
    /// Time until the first words.
    first: Duration,
    whole: Duration,
}

/// The quiet tenant's turns of a time, and the use of the stack in it.
struct Phase {
    turns: Vec<Turn>,
    time: Duration,
    functions: Vec<FunctionUsage>,
    bill: Bill,
    /// The share of the machine's processor time that was used, by any process.
    cores: f64,
}

impl Phase {
    fn whole(&self) -> Sample {
        Sample::new(self.turns.iter().map(|turn| turn.whole))
    }

    fn first(&self) -> Sample {
        Sample::new(self.turns.iter().map(|turn| turn.first))
    }
}

async fn phase(
    system: &Background,
    consumption: &Consumption,
    turns: impl Future<Output = anyhow::Result<Vec<Turn>>>,
) -> anyhow::Result<Phase> {
    consumption.take();
    let before = system.usage();
    let cores = process::Cores::now();
    let begun = Instant::now();
    let turns = turns.await?;
    let used = before.into_iter().zip(system.usage()).map(|(before, after)| FunctionUsage {
        invocations: after.invocations - before.invocations,
        busy: after.busy.saturating_sub(before.busy),
        ..after
    });
    Ok(Phase {
        turns,
        time: begun.elapsed(),
        functions: used.collect(),
        bill: consumption.take(),
        cores: cores.used(),
    })
}

/// Makes turns of a quiet tenant, one after the other.
async fn turns(client: &Client, time: Duration) -> anyhow::Result<Vec<Turn>> {
    let end = Instant::now() + time;
    let mut turns = Vec::new();
    let mut project = None;
    while Instant::now() < end {
        if turns.len() % CONVERSATION == 0 {
            project = None;
        }
        let (turn, answered) = turn(client, project.as_deref()).await?;
        turns.push(turn);
        project = Some(answered);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(turns)
}

async fn turn(client: &Client, project: Option<&str>) -> anyhow::Result<(Turn, String)> {
    let mut body = json!({"message": {"content": "/demo tokens=20 rate=0"}, "model": "demo"});
    if let Some(project) = project {
        body["project_id"] = json!(project);
    }
    let begun = Instant::now();
    let mut stream = client.stream("/api/chat/send", &body).await?;
    let mut first = None;
    let mut last = String::new();
    while let Some(event) = stream.next().await? {
        if event.name == "TEXT_MESSAGE_CONTENT" {
            first.get_or_insert(event.at - begun);
        }
        last = event.name;
    }
    ensure!(last == "RUN_FINISHED", "a turn of the quiet tenant ended with {last:?}");
    let turn = Turn { first: first.context("a turn without words")?, whole: begun.elapsed() };
    Ok((turn, stream.project.context("the answer names its project")?))
}

/// Reports the delays of the quiet tenant alone, and beside the noisy one.
fn delays(alone: &Phase, beside: &Phase, report: &mut Report) {
    let quiet = alone.whole();
    let disturbed = beside.whole();
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let words = |phase: &Phase| phase.first().quantile(share);
        report.add(
            Row::new(format!("a quiet tenant's turn alone, {name}"), quiet.quantile(share), "ms")
                .note(format!("first words after {:.1}; {}", words(alone), quiet.summary())),
        );
        report.add(
            Row::new(format!("beside a noisy tenant, {name}"), disturbed.quantile(share), "ms")
                .at_most(quiet.quantile(share) * FACTOR)
                .note(format!(
                    "first words after {:.1}; {}; {:.0} % of the cores were in use, {:.0} % alone",
                    words(beside),
                    disturbed.summary(),
                    beside.cores * 100.0,
                    alone.cores * 100.0
                )),
        );
    }
}

/// Reports the use of the stack by the noisy tenant: all of it, less the quiet tenant's.
fn bill(alone: &Phase, beside: &Phase, noisy: &NoisyTenant, report: &mut Report) -> anyhow::Result<()> {
    let turns = beside.turns.len() as f64 / alone.turns.len().max(1) as f64;
    let of_noisy = |of: fn(&FunctionUsage) -> f64| {
        let sum = |phase: &Phase| phase.functions.iter().map(of).sum::<f64>();
        (sum(beside) - sum(alone) * turns).max(0.0)
    };
    let gb_seconds = of_noisy(gb_seconds_of);
    let invocations = of_noisy(|function| function.invocations as f64);
    let minutes = beside.time.as_secs_f64() / 60.0;
    let tables = &beside.bill.noisy;
    report.add(Row::new("noisy tenant, write units", tables.write_units, "units").note(format!(
        "in {minutes:.1} minutes; {}; {}",
        noisy.summary(),
        tables.breakdown()
    )));
    report.add(Row::new("noisy tenant, read units", tables.read_units, "units").note(tables.operations()));
    let busy = beside.functions.iter().filter(|function| function.busy > Duration::ZERO);
    let by_function = busy.map(|function| format!("{} {:.0}", function.logical_id, gb_seconds_of(function)));
    report.add(Row::new("noisy tenant, Lambda", gb_seconds, "GB-s").note(format!(
        "{invocations:.0} invocations; both tenants: {}",
        by_function.collect::<Vec<_>>().join(", ")
    )));
    let prices = Prices::read()?;
    let parts = [
        ("table writes", prices.of("table_writes")? * tables.write_units),
        ("table reads", prices.of("table_reads")? * tables.read_units),
        (
            "Lambda",
            prices.of("lambda_gb_seconds")? * gb_seconds + prices.of("lambda_requests")? * invocations,
        ),
        ("requests", (prices.of("edge_requests")? + prices.of("api_requests")?) * noisy.requests() as f64),
    ];
    // A price is in dollars for a million.
    let cents = |dollars: f64| dollars / 1e6 * 100.0 * 60.0 / minutes;
    let total = parts.iter().map(|(_, dollars)| cents(*dollars)).sum();
    let parts = parts.map(|(name, dollars)| format!("{name} {:.2}", cents(dollars)));
    report.add(Row::new("noisy tenant, estimated", total, "ct/h").note(format!(
        "{}; by infra/deploy/prices.toml, without models, storage, queues and logs",
        parts.join(", ")
    )));
    Ok(())
}

fn gb_seconds_of(function: &FunctionUsage) -> f64 {
    function.memory_mb as f64 / 1024.0 * function.busy.as_secs_f64()
}
