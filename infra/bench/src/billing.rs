//! The cost that billing adds to a turn, and the latency of webhook responses.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures::future::join_all;
use http::Method;
use sequent_core::{SecretString, Timestamp};
use sequent_stripe::{VERSION, signature};
use serde_json::json;

use crate::{
    client::Client,
    database::WEBHOOK_SECRET,
    latency::{DELAY_MS, through_us},
    provider::Script,
    report::{Report, Row},
    sample::Sample,
    stack::Stack,
};

/// Target for a paid turn: the target without billing, and 6.
const UNITS_TARGET: f64 = crate::latency::UNITS_TARGET + 6.0;
const ACK_TARGET_MS: f64 = 50.0;
/// Webhook events per second.
const RATE: u32 = 100;

/// Settings of every function that switch billing on.
pub(crate) const BILLED: [(&str, &str); 3] = [
    ("BILLING", "on"),
    ("BILLING_WELCOME", "1000000000"),
    ("MODEL_PRICES", r#"{"bench":{"input":1000000,"output":10000000}}"#),
];

/// Measures a stack whose functions have the settings [`BILLED`].
pub(crate) async fn measure(stack: &Stack, quick: bool, report: &mut Report) -> anyhow::Result<()> {
    let client = stack.sign_up().await.context("signing up")?;
    // The first turn creates the account.
    through_us(&client, Script { tokens: 3, rate: 50, delay_ms: 0 }).await?;
    stack.begin_count().await?;
    through_us(&client, Script { tokens: 500, rate: 50, delay_ms: DELAY_MS }).await?;
    let usage = stack.end_count().await?;
    report.add(
        Row::new("write units, a turn that is paid for", usage.write_units, "units")
            .at_most(UNITS_TARGET)
            .note(usage.breakdown()),
    );
    // Start instances and open connections.
    acknowledged(&client, RATE).await?;
    let answers = acknowledged(&client, RATE * if quick { 3 } else { 20 }).await?;
    report.add(
        Row::new(format!("webhook acknowledged, {RATE}/s"), answers.quantile(0.99), "ms")
            .at_most(ACK_TARGET_MS)
            .note(format!("p99 from when each was due; {}", answers.summary())),
    );
    Ok(())
}

/// Measures the latency of `count` events from their scheduled time, so that waiting for a free sender
/// counts, too.
async fn acknowledged(client: &Client, count: u32) -> anyhow::Result<Sample> {
    let secret = SecretString::from(WEBHOOK_SECRET);
    let begun = Instant::now();
    let run = fastrand::u32(..);
    let sent = (0..count).map(|n| {
        let client = client.clone();
        let secret = secret.clone();
        async move {
            let due = begun + Duration::from_secs(1) / RATE * n;
            tokio::time::sleep_until(due.into()).await;
            let event = json!({
                "id": format!("evt_{run}_{n}"), "object": "event", "type": "invoice.paid", "api_version": VERSION,
                "data": {"object": {"id": format!("in_{run}_{n}"), "object": "invoice", "status": "paid"}},
            });
            let header = signature::sign(event.to_string().as_bytes(), &secret, Timestamp::now());
            let headers = [(signature::HEADER, header.as_str())];
            client.call(Method::POST, "/api/webhooks/stripe", &headers, Some(&event)).await?;
            anyhow::Ok(due.elapsed())
        }
    });
    let times: Vec<Duration> = join_all(sent).await.into_iter().collect::<anyhow::Result<_>>()?;
    Ok(Sample::new(times))
}
