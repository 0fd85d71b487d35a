//! Records of a table's stream.

use aws_lambda_events::dynamodb::{EventRecord, StreamRecord};
use sequent_tables::Item;
use serde::Deserialize;
use serde_json::Value;

/// A row that was inserted or changed.
#[derive(Debug, Clone, PartialEq)]
pub struct RowChange {
    /// The row before. A row that was inserted has none.
    pub old: Option<Item>,
    /// The row as it is since.
    pub new: Item,
    /// The position of the record in its shard. A record that is delivered again has the same one.
    pub sequence_number: String,
}

impl RowChange {
    /// Reads a record. Returns `None` for a row that was deleted.
    ///
    /// # Errors
    /// If the record does not have the shape of a stream record (DynamoDB Streams API, `Record`).
    pub fn of_record(record: &Value) -> Result<Option<Self>, serde_json::Error> {
        let StreamRecord { old_image, new_image, sequence_number, .. } =
            EventRecord::deserialize(record)?.change;
        let image = |image: serde_dynamo::Item| Some(Item::from(image)).filter(|item| !item.is_empty());
        let sequence_number = sequence_number.unwrap_or_default();
        Ok(image(new_image).map(|new| Self { old: image(old_image), new, sequence_number }))
    }
}
