//! A row to write: key, body, positions in the indexes, and expiry.

use aws_sdk_dynamodb::types::AttributeValue;
use sequent_core::Timestamp;
use serde::Serialize;

use crate::{Error, Item, Key, key::IndexKey, value::encode};

/// An item of `main`. The fields of the body become attributes beside the key attributes. A body must not have fields
/// named `pk`, `sk`, `gsi1pk`, `gsi1sk`, `gsi2pk`, `gsi2sk` or `expires_at`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    item: Item,
}

impl Row {
    /// Encodes `body` under `key`.
    ///
    /// # Errors
    /// Returns an error if the body does not serialise to a map.
    pub fn new<T: Serialize>(key: &Key, body: &T) -> Result<Self, Error> {
        let mut item: Item = serde_dynamo::to_item(body)?;
        item.extend(key.attributes());
        Ok(Self { item })
    }

    /// The attributes of a row that was read, under another key.
    #[must_use]
    pub fn moved(mut item: Item, key: &Key) -> Self {
        item.extend(key.attributes());
        Self { item }
    }

    /// Adds the row to the first index.
    #[must_use]
    pub fn gsi1(self, key: IndexKey) -> Self {
        self.with("gsi1pk", AttributeValue::S(key.pk)).with("gsi1sk", AttributeValue::S(key.sk))
    }

    /// Adds the row to the second index.
    #[must_use]
    pub fn gsi2(self, key: IndexKey) -> Self {
        self.with("gsi2pk", AttributeValue::S(key.pk)).with("gsi2sk", AttributeValue::S(key.sk))
    }

    /// Lets DynamoDB delete the row some time after `at`. TTL deletes rows up to days late (DynamoDB developer guide, "Time
    /// to Live"), so a reader that needs the exact time compares it itself.
    #[must_use]
    pub fn expires_at(self, at: Timestamp) -> Self {
        self.with("expires_at", AttributeValue::N(at.seconds().to_string()))
    }

    /// Returns the attributes as they are written.
    #[must_use]
    pub fn into_item(self) -> Item {
        self.item
    }

    /// Sets one attribute beside those of the body.
    #[must_use]
    pub fn set(self, name: &str, value: impl Serialize) -> Self {
        self.with(name, encode(value))
    }

    fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.item.insert(name.to_owned(), value);
        self
    }
}
