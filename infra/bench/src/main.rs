//! `scripts/bench`: measures the functions side by side on one machine, beside their targets. Every process
//! is real. `dynoxide` serves DynamoDB in a process of its own, so that the numbers show our cost and not an
//! emulator's. Measurements that need the table's stream and the queues go through the whole stack, and their
//! rows say so.

mod agent;
mod arguments;
mod background;
mod billing;
mod client;
mod cold_start;
mod database;
mod exports;
mod fanout;
mod latency;
mod noisy;
mod pickup;
mod process;
mod provider;
mod readers;
mod report;
mod resume;
mod runs;
mod sample;
mod size;
mod stack;
mod throughput;
mod usage;

use std::process::ExitCode;

use anyhow::Context;

use arguments::{Arguments, Command};
use background::Background;
use report::Report;
use stack::Stack;

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Command::Help) => report::line(arguments::USAGE),
        Ok(Command::Database) => database::serve().await,
        Ok(Command::Measure(arguments)) => Box::pin(measure(&arguments)).await,
        Ok(Command::Noisy(arguments)) => measure_noisy(&arguments).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = report::complain(&format!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let stack = Stack::start(&arguments.bin_dir, &[]).await.context("the stack does not start")?;
    let mut report = Report::new(arguments.quick);
    // Cold starts come first, while nothing else runs.
    cold_start::measure(&stack, arguments.quick, &mut report).await.context("cold start")?;
    let client = stack.sign_up().await.context("signing up")?;
    latency::measure(&stack, &client, arguments.quick, &mut report).await.context("latency")?;
    resume::measure(&stack, &client, arguments.quick, &mut report).await.context("resume")?;
    readers::measure(&stack, &client, arguments.quick, &mut report).await.context("readers")?;
    throughput::measure(&stack, &client, arguments.quick, &mut report).await.context("throughput")?;
    agent::measure(&stack, &client, arguments.quick, &mut report).await.context("agent")?;
    pickup::measure_ours(&stack, &client, arguments.quick, &mut report).await.context("pickup")?;
    size::measure(&stack, &mut report).context("size")?;
    stack.stop().await;
    let stack =
        Stack::start(&arguments.bin_dir, &billing::BILLED).await.context("the stack does not start")?;
    billing::measure(&stack, arguments.quick, &mut report).await.context("billing")?;
    stack.stop().await;
    match Background::start(&arguments.bin_dir).await.context("the whole stack does not start")? {
        Some(system) => {
            pickup::measure(&system, arguments.quick, &mut report).await.context("pickup")?;
            fanout::measure(&system, arguments.quick, &mut report).await.context("fan-out")?;
            exports::measure(&system, arguments.quick, &mut report).await.context("exports")?;
            system.stop().await;
        }
        None => report.skipped("pickup, fan-out and exports: scripts/install emulator"),
    }
    noisy::measure(arguments, &mut report).await.context("a noisy tenant")?;
    finish(arguments, &report)
}

async fn measure_noisy(arguments: &Arguments) -> anyhow::Result<()> {
    let mut report = Report::new(arguments.quick);
    noisy::measure(arguments, &mut report).await.context("a noisy tenant")?;
    finish(arguments, &report)
}

/// Prints the report and writes the file.
fn finish(arguments: &Arguments, report: &Report) -> anyhow::Result<()> {
    report::line(&report.table())?;
    report.write(&arguments.json)?;
    report::line(&format!("written to {}", arguments.json.display()))
}
