//! The cost of tool calls: write units of a step, and turns per second beside turns without tools.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use crate::{
    client::Client,
    report::{Report, Row},
    sample::Sample,
    stack::Stack,
    throughput::{self, TOKENS},
    usage::Usage,
};

/// Tokens of a response that calls a tool.
const STEP_TOKENS: usize = 20;
/// A tool that only writes to the log, so that nothing else is measured.
const CALL: &str = r#"tool=cite_source args={"url":"https://example.com/","title":"Example"}"#;

/// Measures the write units of a step, then agent turns per second.
pub(crate) async fn measure(
    stack: &Stack,
    client: &Client,
    quick: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    units(stack, client, if quick { 4 } else { 10 }, report).await?;
    turns(client, Duration::from_secs(if quick { 1 } else { 5 }), report).await
}

/// Measures the difference between a turn with `steps` and one without, at the demo's normal pace.
async fn units(stack: &Stack, client: &Client, steps: usize, report: &mut Report) -> anyhow::Result<()> {
    let answer = format!("/demo tokens={STEP_TOKENS}");
    let without = counted(stack, client, 0, &answer).await?;
    let call = format!("/demo tokens={STEP_TOKENS} {CALL}\n");
    let with = counted(stack, client, steps, &format!("{}{answer}", call.repeat(steps))).await?;
    let each = (with.write_units - without.write_units) / steps as f64;
    report.add(Row::new("write units of an agent step", each, "units").note(format!(
        "a response of {STEP_TOKENS} tokens at 40/s that calls a tool, and the result; {steps} steps and an answer: {}; the answer alone: {}",
        with.breakdown(),
        without.breakdown()
    )));
    let reads = (with.read_units - without.read_units) / steps as f64;
    report.add(Row::new("read units of the same step", reads, "units").note(format!(
        "with the steps: {}; without: {}",
        with.operations(),
        without.operations()
    )));
    Ok(())
}

async fn counted(stack: &Stack, client: &Client, calls: usize, script: &str) -> anyhow::Result<Usage> {
    stack.begin_count().await?;
    let body = json!({"message": {"content": script}, "model": "demo"});
    let mut stream = client.stream("/api/chat/send", &body).await?;
    let mut results = 0;
    let mut last = String::new();
    while let Some(event) = stream.next().await? {
        results += usize::from(event.name == "TOOL_CALL_RESULT");
        last = event.name;
    }
    let used = stack.end_count().await?;
    ensure!(results == calls && last == "RUN_FINISHED", "{results} of {calls} results, then {last}");
    Ok(used)
}

/// Turns and the time that they took. Turns that began within the measured time may end after it.
#[derive(Default)]
struct Load {
    turns: Vec<Duration>,
    elapsed: Duration,
}

impl Load {
    async fn add(&mut self, client: &Client, time: Duration, content: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        self.turns.extend(throughput::run(client, time, content).await?);
        self.elapsed += began.elapsed();
        Ok(())
    }

    fn pace(&self) -> f64 {
        self.turns.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Alternates turns with and without a tool call, so that both see the same state of the machine.
async fn turns(client: &Client, time: Duration, report: &mut Report) -> anyhow::Result<()> {
    let agent = format!("/demo tokens=0 rate=0 {CALL}\n/demo tokens={TOKENS} rate=0");
    let plain = throughput::plain();
    let mut with = Load::default();
    let mut without = Load::default();
    for _ in 0..3 {
        without.add(client, time, &plain).await?;
        with.add(client, time, &agent).await?;
    }
    let pace = with.pace();
    let beside = without.pace();
    report.add(Row::new("agent turns, 16 clients", pace, "1/s").note(format!(
        "a tool call, its result and {TOKENS} tokens; {}; beside it {beside:.1} turns without the call, {:.2} times as many",
        Sample::new(with.turns).summary(),
        beside / pace
    )));
    Ok(())
}
