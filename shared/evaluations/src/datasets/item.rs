//! Items of datasets, as requests give them and as rows have them.

use sequent_core::{RunId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An item to add to a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewItem {
    /// The message to the agent: 1 to 40,000 bytes.
    pub input: ItemText,
    /// The values of variables in the instructions of the agent.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object, required = false))]
    pub variables: Map<String, Value>,
    /// The answer that is expected: a text, or another JSON value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Value>))]
    pub expected: Option<Value>,
    /// Data of the caller's own.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object, required = false))]
    pub metadata: Map<String, Value>,
    /// The run that the item was made from, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
}

/// The text of a message: not blank.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, min_length = 1, max_length = 40_000))]
#[serde(transparent)]
pub struct ItemText(pub String);

/// An item of a dataset. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DatasetItem {
    /// The number of the item in its dataset, from 1.
    pub number: u32,
    #[serde(flatten)]
    #[expect(missing_docs, reason = "plain data")]
    pub content: NewItem,
    #[expect(missing_docs, reason = "plain data")]
    pub created_at: Timestamp,
}

impl NewItem {
    /// Items that one request adds at most. The transaction takes 100 writes.
    pub const MAX_AT_ONCE: usize = 90;
    /// Bytes of the input at most. As a message of a run it takes twice as many if it is made of quotes.
    const MAX_INPUT: usize = 40_000;
    /// Bytes of the item in JSON at most. 90 of them fit into the 4 MB of a transaction.
    const MAX_BYTES: usize = 44_000;

    /// Returns the bytes of the item in JSON, or the reason why it is not allowed.
    pub(super) fn checked_bytes(&self) -> Result<u64, &'static str> {
        let ItemText(input) = &self.input;
        if input.trim().is_empty() {
            return Err("must have an input that is not blank");
        }
        let bytes = serde_json::to_vec(self).map_or(usize::MAX, |json| json.len());
        if input.len() > Self::MAX_INPUT || bytes > Self::MAX_BYTES {
            return Err("must have at most 40,000 bytes of input, and 44,000 bytes in JSON");
        }
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}
