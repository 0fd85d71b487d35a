//! Attribute paths and values, as expressions use them.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Item};

/// The path of an attribute: its name, or the names that lead to a value inside a map.
///
/// A name is taken as it is. It may be a reserved word of DynamoDB and may contain dots, because expressions refer
/// to it by a placeholder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path(Vec<String>);

impl Path {
    pub(crate) fn names(&self) -> &[String] {
        &self.0
    }

    /// Returns the value at the path, or `None` if the row has none.
    pub(crate) fn of<'a>(&self, row: &'a Item) -> Option<&'a AttributeValue> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(row.get(first)?, |value, name| value.as_m().ok()?.get(name))
    }
}

impl From<&str> for Path {
    fn from(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

impl From<String> for Path {
    fn from(name: String) -> Self {
        Self(vec![name])
    }
}

impl<T: AsRef<str>, const N: usize> From<[T; N]> for Path {
    fn from(names: [T; N]) -> Self {
        Self(names.iter().map(|name| name.as_ref().to_owned()).collect())
    }
}

/// Encodes a value as serde sees it: `None` is stored as NULL, a map must have string keys.
///
/// # Panics
/// Panics if the value cannot be stored. This is a mistake in its type, which the first test that writes it shows.
pub(crate) fn encode<T: Serialize>(value: T) -> AttributeValue {
    serde_dynamo::to_attribute_value(value).expect("a stored value is plain data with string keys")
}

/// Decodes a whole item.
///
/// # Errors
/// [`Error::Malformed`] if the item does not have the shape of `T`.
pub fn decode<T: DeserializeOwned>(item: Item) -> Result<T, Error> {
    Ok(serde_dynamo::from_item(item)?)
}

/// Decodes one attribute of an item, for example of a stream record's image. Returns `None` if it is missing or is
/// not a `T`.
#[must_use]
pub fn attribute_of<T: DeserializeOwned>(item: &Item, name: &str) -> Option<T> {
    serde_dynamo::from_attribute_value(item.get(name)?.clone()).ok()
}
