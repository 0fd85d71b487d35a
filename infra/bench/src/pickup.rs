//! The time that a background run waits for its worker: through the whole stack, and the part spent in our
//! own functions.

use std::time::Duration;

use anyhow::ensure;
use sequent_conversation::Delivery;
use sequent_tables::key;
use serde_json::{Value, json};

use crate::{
    background::Background,
    client::Client,
    report::{Report, Row},
    runs::{Log, now_ms, submit},
    sample::Sample,
    stack::Stack,
};

/// Polling interval, long enough not to slow the emulator down.
const LOOK: Duration = Duration::from_millis(50);
/// The emulator polls the stream a few times per second. Requests are spread over that interval.
const SPREAD_MS: u64 = 250;

fn task() -> Value {
    json!({"input": "/demo tokens=3 rate=0", "model": "demo"})
}

/// Measures the time from a request to the worker's claim: stream, `fanout`, queue, `agent-worker`.
pub(crate) async fn measure(system: &Background, quick: bool, report: &mut Report) -> anyhow::Result<()> {
    let client = system.sign_up().await?;
    let mut asked = Vec::new();
    let mut answered = Vec::new();
    // The first run starts instances and opens connections.
    for n in 0..=if quick { 5 } else { 60 } {
        tokio::time::sleep(Duration::from_millis(n * 37 % SPREAD_MS)).await;
        let request = now_ms();
        let key = submit(&client, &task()).await?;
        let answer = now_ms();
        let claimed = Log::ended(system.store(), key, LOOK).await?.claimed()?;
        if n > 0 {
            asked.push(claimed - request);
            answered.push(claimed - answer);
        }
    }
    let asked = Sample::of_ms(asked);
    let answered = Sample::of_ms(answered);
    let note = "from the answer to the claim, warm; stream and queue are the emulator's";
    let from_request = format!("{note}; from the request {}", asked.summary());
    report.add(Row::new("pickup of a run, p50", answered.median(), "ms").note(from_request));
    report.add(Row::new("pickup of a run, p95", answered.quantile(0.95), "ms").note(answered.summary()));
    Ok(())
}

/// Measures the same without the emulator: both functions receive the records that stream and queue would
/// deliver.
pub(crate) async fn measure_ours(
    stack: &Stack,
    client: &Client,
    quick: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut fanout = Vec::new();
    let mut worker = Vec::new();
    for n in 0..=if quick { 5 } else { 60 } {
        let key = submit(client, &task()).await?;
        let row = key::run(key.tenant, key.run);
        let image = json!({"pk": {"S": row.pk()}, "sk": {"S": row.sk()}, "queued_at": {"N": "1"}});
        let change =
            json!({"eventSource": "aws:dynamodb", "dynamodb": {"SequenceNumber": "1", "NewImage": image}});
        let started = now_ms();
        handled(stack, "FanoutFunction", change).await?;
        let queued = now_ms();
        let message = json!({"messageId": "1", "body": Delivery::from(key).to_json()});
        handled(stack, "AgentWorkerFunction", message).await?;
        let claimed = Log::ended(&stack.store(), key, LOOK).await?.claimed()?;
        if n > 0 {
            fanout.push(queued - started);
            // Events have timestamps in whole milliseconds.
            worker.push((claimed - queued).max(0.0));
        }
    }
    let both = Sample::of_ms(fanout.iter().zip(&worker).map(|(fanout, worker)| fanout + worker));
    let fanout = Sample::of_ms(fanout);
    let worker = Sample::of_ms(worker);
    report.add(Row::new("pickup, our functions' part", both.median(), "ms").note(format!(
        "{}; fanout, its message sent: p50 {:.1}; worker, invoked to claim: p50 {:.1}",
        both.summary(),
        fanout.median(),
        worker.median()
    )));
    Ok(())
}

/// Invokes a function with a batch of one record, which must not fail.
async fn handled(stack: &Stack, function: &str, record: Value) -> anyhow::Result<()> {
    let answer = stack.invoke(function, &json!({"Records": [record]})).await?;
    ensure!(answer["batchItemFailures"] == json!([]), "{function}: {answer}");
    Ok(())
}
