//! How long a background run waits for its worker: through the whole stack, and what of it is our own functions' doing.

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

/// Seldom enough not to slow the emulator down.
const LOOK: Duration = Duration::from_millis(50);
/// The stream is looked at a few times a second: requests come at all parts of that.
const SPREAD_MS: u64 = 250;

fn task() -> Value {
    json!({"input": "/demo tokens=3 rate=0", "model": "demo"})
}

/// From a request to the worker's claim: stream, `fanout`, queue, `agent-worker`.
pub(crate) async fn measure(system: &Background, quick: bool, report: &mut Report) -> anyhow::Result<()> {
    let client = system.sign_up().await?;
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    // The first one starts instances and opens connections.
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
    let (asked, answered) = (Sample::of_ms(asked), Sample::of_ms(answered));
    let note = "from the answer to the claim, warm; stream and queue are the emulator's";
    let from_request = format!("{note}; from the request {}", asked.summary());
    report.add(Row::new("pickup of a run, p50", answered.median(), "ms").note(from_request));
    report.add(Row::new("pickup of a run, p95", answered.quantile(0.95), "ms").note(answered.summary()));
    Ok(())
}

/// The same way without the emulator: both functions are handed what stream and queue would hand them.
pub(crate) async fn measure_ours(
    stack: &Stack,
    client: &Client,
    quick: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (mut fanout, mut worker) = (Vec::new(), Vec::new());
    for n in 0..=if quick { 5 } else { 60 } {
        let key = submit(client, &task()).await?;
        let row = key::run(key.tenant, key.run);
        let image = json!({"pk": {"S": row.pk()}, "sk": {"S": row.sk()}, "queued_at": {"N": "1"}});
        let change =
            json!({"eventSource": "aws:dynamodb", "dynamodb": {"SequenceNumber": "1", "NewImage": image}});
        let told = now_ms();
        handled(stack, "FanoutFunction", change).await?;
        let queued = now_ms();
        let message = json!({"messageId": "1", "body": Delivery::from(key).to_json()});
        handled(stack, "AgentWorkerFunction", message).await?;
        let claimed = Log::ended(&stack.store(), key, LOOK).await?.claimed()?;
        if n > 0 {
            fanout.push(queued - told);
            // Events are stamped in whole milliseconds.
            worker.push((claimed - queued).max(0.0));
        }
    }
    let both = Sample::of_ms(fanout.iter().zip(&worker).map(|(fanout, worker)| fanout + worker));
    let (fanout, worker) = (Sample::of_ms(fanout), Sample::of_ms(worker));
    report.add(Row::new("pickup, our functions' part", both.median(), "ms").note(format!(
        "{}; fanout, its message sent: p50 {:.1}; worker, invoked to claim: p50 {:.1}",
        both.summary(),
        fanout.median(),
        worker.median()
    )));
    Ok(())
}

/// Invokes with a batch of one record, which must not fail.
async fn handled(stack: &Stack, function: &str, record: Value) -> anyhow::Result<()> {
    let answer = stack.invoke(function, &json!({"Records": [record]})).await?;
    ensure!(answer["batchItemFailures"] == json!([]), "{function}: {answer}");
    Ok(())
}
