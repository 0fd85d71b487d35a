//! Background runs and their logs. Each event carries the time of its writer, so nothing has to be polled
//! while something is timed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use http::Method;
use sequent_core::Timestamp;
use sequent_event::{Body, RunOutcome};
use sequent_runlog::{DynamoStorage, LogKey, Segment, Storage, read_all};
use sequent_tables::{Store, key};
use serde_json::Value;

use crate::{client::Client, usage::item_units};

/// Time limit for a run.
const GIVE_UP: Duration = Duration::from_secs(300);

/// The complete log of a run.
pub(crate) struct Log {
    pub(crate) segments: Vec<Segment>,
    /// Write units of each segment, without the rows of `main` in the same transaction.
    pub(crate) units: Vec<f64>,
}

/// Returns milliseconds since the epoch, by the clock of the events.
pub(crate) fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3
}

/// Starts a background run.
pub(crate) async fn submit(client: &Client, body: &Value) -> anyhow::Result<LogKey> {
    let run = client.json(Method::POST, "/api/runs", Some(body)).await?;
    let run = run["id"].as_str().context("a run has an id")?.parse()?;
    Ok(LogKey { tenant: client.tenant.context("signed in")?, run })
}

impl Log {
    /// Polls until the run has ended successfully, and returns its log.
    pub(crate) async fn ended(store: &Store, key: LogKey, every: Duration) -> anyhow::Result<Self> {
        let storage = DynamoStorage::new(store.clone());
        let end = async {
            while !storage.tail(key).await?.is_some_and(|tail| tail.leaves_closed()) {
                tokio::time::sleep(every).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(GIVE_UP, end).await.with_context(|| format!("{} does not end", key.run))??;
        Self::read(&storage, key).await
    }

    async fn read(storage: &DynamoStorage, key: LogKey) -> anyhow::Result<Self> {
        let segments = read_all(storage, key).await?;
        let sizes = sizes(storage.store(), key).await?;
        ensure!(segments.len() == sizes.len(), "a log changed after its end");
        let units = segments.iter().zip(sizes).map(|(segment, units)| units * copies(segment)).collect();
        let log = Self { segments, units };
        match log.bodies().last() {
            Some((_, Body::RunFinished { outcome: RunOutcome::Success, .. })) => Ok(log),
            end => bail!("{} ended with {end:?}", key.run),
        }
    }

    /// Returns the events with their times.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = (Timestamp, &Body)> {
        let entries = self.segments.iter().flat_map(|segment| &segment.entries);
        entries.filter_map(|entry| Some((entry.at, entry.body()?)))
    }

    /// Returns the time of the first such event, in milliseconds since the epoch.
    pub(crate) fn first(&self, like: impl Fn(&Body) -> bool) -> anyhow::Result<f64> {
        let found = self.bodies().find(|(_, body)| like(body));
        found.map(|(at, _)| at.millis() as f64).context("the log lacks an event")
    }

    /// Returns the time of the claim.
    pub(crate) fn claimed(&self) -> anyhow::Result<f64> {
        self.first(|body| matches!(body, Body::RunClaimed { .. }))
    }

    /// Returns the time of the end.
    pub(crate) fn finished(&self) -> anyhow::Result<f64> {
        self.first(|body| matches!(body, Body::RunFinished { .. }))
    }
}

/// Returns the write units of a plain write of each item of the log.
async fn sizes(store: &Store, key: LogKey) -> anyhow::Result<Vec<f64>> {
    let mut pages = store
        .client()
        .query()
        .table_name(&*store.tables().events)
        .key_condition_expression("#run = :run")
        .expression_attribute_names("#run", "run")
        .expression_attribute_values(":run", AttributeValue::S(key::run_log(key.tenant, key.run)))
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    let mut sizes = Vec::new();
    while let Some(item) = pages.next().await {
        sizes.push(item_units(&item?));
    }
    Ok(sizes)
}

/// Returns 2 for a segment that was written in a transaction, which is charged twice, and 1 otherwise. The
/// first segment of a log, claims and ends are written in transactions.
fn copies(segment: &Segment) -> f64 {
    let claims = segment.events().any(|event| matches!(event.body(), Some(Body::RunClaimed { .. })));
    if segment.first.0 == 1 || claims || segment.leaves_closed() { 2.0 } else { 1.0 }
}
