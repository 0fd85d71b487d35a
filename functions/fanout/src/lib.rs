//! Turns changes of the `main` table into messages: the second half of the outbox whose first half is an attribute
//! of a row.

use sequent_data::Item;
use sequent_queue::{Batch, Failures, Sender};
use sequent_run::Delivery;
use serde::Deserialize;
use serde_json::Value;

/// One record of the table's stream.
#[derive(Deserialize)]
struct Record {
    dynamodb: Change,
}

/// The row before and after. A deleted row has no new image, an inserted one no old.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    #[serde(default)]
    old_image: Option<serde_dynamo::Item>,
    #[serde(default)]
    new_image: Option<serde_dynamo::Item>,
}

/// Sends what the batch's changes call for, in the order of the stream. What comes behind the first failure is left
/// to the retry, which begins there.
pub async fn handle(queue: &Sender, batch: &Batch) -> Failures {
    let mut failures = Failures::default();
    // The record each message stems from.
    let mut origins: Vec<&Value> = Vec::new();
    let mut messages = Vec::new();
    let mut unread = None;
    for record in &batch.records {
        match deliveries(record) {
            Ok(deliveries) => {
                origins.extend(deliveries.iter().map(|_| record));
                messages.extend(deliveries.into_iter().map(Delivery::to_json));
            }
            Err(error) => {
                tracing::error!(%error, "a record of the stream cannot be read");
                unread = Some(record);
                break;
            }
        }
    }
    match queue.send(&messages).await {
        Ok(()) => unread.into_iter().for_each(|record| failures.add(record)),
        Err((at, error)) => {
            tracing::error!(%error, "a run was not queued");
            failures.add(origins.get(at).copied().unwrap_or(&Value::Null));
        }
    }
    if !messages.is_empty() {
        tracing::info!(records = batch.records.len(), messages = messages.len(), "runs delivered");
    }
    failures
}

fn deliveries(record: &Value) -> Result<Vec<Delivery>, serde_json::Error> {
    let Change { old_image, new_image } = Record::deserialize(record)?.dynamodb;
    let Some(new) = new_image.map(Item::from) else { return Ok(Vec::new()) };
    Ok(Delivery::called_for(old_image.map(Item::from).as_ref(), &new))
}
