//! The delay that we add to a token, compared with the provider directly, and the write units of a turn.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::{
    client::Client,
    provider::{Script, ages},
    report::{Report, Row},
    sample::Sample,
    stack::Stack,
};

const FIRST_BYTE_TARGET_MS: f64 = 15.0;
const WRITE_TARGET_MS: f64 = 5.0;
pub(crate) const UNITS_TARGET: f64 = 60.0;
/// Silence before the first token, as a model needs to read the prompt. Meanwhile the run's first events are
/// stored and sent.
pub(crate) const DELAY_MS: u64 = 200;

/// Measures storage writes, first bytes, tokens and write units.
pub(crate) async fn measure(
    stack: &Stack,
    client: &Client,
    quick: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let writes = writes(stack, if quick { 50 } else { 300 }).await?;
    report.add(
        Row::new("storage write", writes.quantile(0.99), "ms")
            .at_most(WRITE_TARGET_MS)
            .note(format!("p99; {}; the condition under which the next rows hold", writes.summary())),
    );
    let direct = Client::new(&stack.provider);
    first_byte(client, &direct, if quick { 5 } else { 30 }, report).await?;

    let script = Script { tokens: 500, rate: 50, delay_ms: DELAY_MS };
    let near = Sample::new(directly(&direct, script).await?);
    stack.begin_count().await?;
    let far = Sample::new(through_us(client, script).await?);
    let usage = stack.end_count().await?;
    let slowest = Sample::of_ms(usage.write_ms.iter().copied()).max();
    report.add(Row::new("added delay per token", far.median() - near.median(), "ms").note(format!(
        "direct {}; ours {}",
        near.summary(),
        far.summary()
    )));
    // The worst delay of the clients themselves, measured on the direct path, is not ours.
    let bound = stack.linger_max.as_secs_f64() * 1e3 + slowest + near.max();
    report.add(
        Row::new("latest token", far.max(), "ms").at_most(bound).note(format!(
            "bound: linger {} ms + slowest write {slowest:.1} ms",
            stack.linger_max.as_millis()
        )),
    );
    report.add(
        Row::new("write units, 500 tokens at 50/s", usage.write_units, "units")
            .at_most(UNITS_TARGET)
            .note(usage.breakdown()),
    );
    report.add(Row::new("read units, the same turn", usage.read_units, "units").note(usage.operations()));
    Ok(())
}

/// Measures writes of a segment as the functions make them: conditional, about 700 bytes, one after the
/// other.
async fn writes(stack: &Stack, count: u32) -> anyhow::Result<Sample> {
    let store = stack.store();
    let mut times = Vec::new();
    for n in 0..count {
        let put = store.client().put_item().table_name(&*store.tables().events);
        let put = put
            .item("run", AttributeValue::S("bench".to_owned()))
            .item("seq", AttributeValue::N((n + 1).to_string()))
            .item("events", AttributeValue::S("x".repeat(600)))
            .condition_expression("attribute_not_exists(seq)");
        let began = Instant::now();
        put.send().await.context("a write")?;
        times.push(began.elapsed());
    }
    // The first write opened the connection.
    Ok(Sample::new(times.into_iter().skip(1)))
}

async fn first_byte(client: &Client, direct: &Client, count: u32, report: &mut Report) -> anyhow::Result<()> {
    let script = Script { tokens: 3, rate: 50, delay_ms: DELAY_MS };
    let mut near = Vec::new();
    let mut far = Vec::new();
    // The first of each is not counted, because it starts the instance and opens connections.
    for n in 0..=count {
        let a = directly(direct, script).await?;
        let b = through_us(client, script).await?;
        if n > 0 {
            near.extend(a.first());
            far.extend(b.first());
        }
    }
    let near = Sample::new(near);
    let far = Sample::new(far);
    report.add(
        Row::new("added first-byte delay", far.median() - near.median(), "ms")
            .at_most(FIRST_BYTE_TARGET_MS)
            .note(format!("direct {}; ours {}", near.summary(), far.summary())),
    );
    Ok(())
}

/// Returns the age of each token at its arrival from the provider.
async fn directly(direct: &Client, script: Script) -> anyhow::Result<Vec<Duration>> {
    let message = json!({"role": "user", "content": script.message()});
    let body = json!({"model": "bench", "stream": true, "messages": [message]});
    let mut stream = direct.stream("/chat/completions", &body).await?;
    let mut tokens = Vec::new();
    while let Some(event) = stream.next().await? {
        let Ok(data) = serde_json::from_str::<Value>(&event.data) else { continue };
        tokens.extend(ages(data["choices"][0]["delta"]["content"].as_str().unwrap_or_default(), event.at));
    }
    ensure!(tokens.len() == script.tokens as usize, "{} tokens arrived directly", tokens.len());
    Ok(tokens)
}

/// Returns the age of each token at its arrival through the chat function.
pub(crate) async fn through_us(client: &Client, script: Script) -> anyhow::Result<Vec<Duration>> {
    let body = json!({"message": {"content": script.message()}, "model": "openai/bench"});
    let mut stream = client.stream("/api/chat/send", &body).await?;
    let mut tokens = Vec::new();
    let mut last = String::new();
    while let Some(event) = stream.next().await? {
        if event.name == "TEXT_MESSAGE_CONTENT" {
            let data: Value = serde_json::from_str(&event.data)?;
            tokens.extend(ages(data["delta"].as_str().unwrap_or_default(), event.at));
        }
        last = event.data;
    }
    ensure!(
        tokens.len() == script.tokens as usize,
        "{} tokens arrived; the last event is {last}",
        tokens.len()
    );
    Ok(tokens)
}
