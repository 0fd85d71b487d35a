//! Batches of records from an event source, and the response of the function.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A batch of records. The records are not parsed, so that a malformed one does not fail the others.
#[derive(Debug, Clone, Deserialize)]
pub struct Batch {
    /// The records in the order of the source.
    #[serde(rename = "Records")]
    pub records: Vec<Value>,
}

/// The records of a batch that failed: the response of a function with `ReportBatchItemFailures`. A queue delivers them
/// again. A stream delivers all records from the first of them on.
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
    /// Adds a failed record, by its `messageId` (of a queue) or its sequence number (of a stream).
    ///
    /// A record without either fails the whole batch: Lambda retries all of it if an identifier is empty (Lambda
    /// developer guide, "Implementing partial batch responses").
    pub fn add(&mut self, record: &Value) {
        let id = record["messageId"].as_str().or_else(|| record["dynamodb"]["SequenceNumber"].as_str());
        let item_identifier = id.unwrap_or_default().to_owned();
        self.batch_item_failures.push(Failure { item_identifier });
    }

    /// Returns `true` if no record failed.
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
