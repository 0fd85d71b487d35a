//! Batches of records that an event source hands to a function, and what the function answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A batch as it comes. The records are kept as they are: one that is malformed must not fail the others.
#[derive(Debug, Clone, Deserialize)]
pub struct Batch {
    /// In the order of the source.
    #[serde(rename = "Records")]
    pub records: Vec<Value>,
}

/// Which records of a batch failed; the answer of a function with `ReportBatchItemFailures`. Of a queue those are
/// delivered again, of a stream everything from the first of them on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failures {
    batch_item_failures: Vec<Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

impl Failures {
    /// Reports a failed record by its `messageId` (a queue's) or sequence number (a stream's).
    ///
    /// A record without one fails the whole batch: an empty identifier is what tells Lambda so (Lambda developer guide,
    /// "Implementing partial batch responses").
    pub fn add(&mut self, record: &Value) {
        let id = record["messageId"].as_str().or_else(|| record["dynamodb"]["SequenceNumber"].as_str());
        let item_identifier = id.unwrap_or_default().to_owned();
        self.batch_item_failures.push(Failure { item_identifier });
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch_item_failures.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failures_are_reported_as_lambda_reads_them() {
        let batch =
            json!({ "Records": [{ "messageId": "m1" }, { "dynamodb": { "SequenceNumber": "7" } }, 3] });
        let batch: Batch = serde_json::from_value(batch).unwrap();
        let mut failures = Failures::default();
        assert_eq!(serde_json::to_value(&failures).unwrap(), json!({ "batchItemFailures": [] }));
        batch.records.iter().for_each(|record| failures.add(record));
        let expected = json!({ "batchItemFailures": [
            { "itemIdentifier": "m1" }, { "itemIdentifier": "7" }, { "itemIdentifier": "" }
        ] });
        assert_eq!(serde_json::to_value(&failures).unwrap(), expected);
    }
}
