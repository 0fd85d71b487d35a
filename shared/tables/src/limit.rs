//! DynamoDB's limits, checked before a write is sent.
//!
//! They are those of the developer guide, "Quotas in Amazon DynamoDB" (items, keys, expressions, transactions and
//! batches) and "DynamoDB item sizes and formats" (how an item's size is counted).

use aws_sdk_dynamodb::types::AttributeValue;

use crate::Item;

/// Largest item: 400 KB, attribute names included.
pub const ITEM_BYTES: usize = 400 * 1024;
/// Largest partition key: 2 KB.
pub const PARTITION_KEY_BYTES: usize = 2048;
/// Largest sort key: 1 KB.
pub const SORT_KEY_BYTES: usize = 1024;
/// Writes that a transaction can hold.
pub const TRANSACTION_WRITES: usize = 100;
/// Largest sum of the items of a transaction.
pub const TRANSACTION_BYTES: usize = 4 * 1024 * 1024;
/// Keys that one `BatchGetItem` can hold. A `BatchWriteItem`, which nothing here uses, can hold 25 writes.
pub const BATCH_KEYS: usize = 100;

/// A write that DynamoDB would refuse because it is too large. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// The item is too large.
    #[error("the item has {bytes} bytes; DynamoDB stores at most {ITEM_BYTES}")]
    Item {
        /// Size of the item with its attribute names.
        bytes: usize,
    },
    /// The partition key is too large.
    #[error("the partition key has {bytes} bytes; DynamoDB allows at most {PARTITION_KEY_BYTES}")]
    PartitionKey {
        /// Size of the key's value.
        bytes: usize,
    },
    /// The sort key is too large.
    #[error("the sort key has {bytes} bytes; DynamoDB allows at most {SORT_KEY_BYTES}")]
    SortKey {
        /// Size of the key's value.
        bytes: usize,
    },
    /// The transaction has too many writes.
    #[error("the transaction has {writes} writes; DynamoDB allows at most {TRANSACTION_WRITES}")]
    TransactionWrites {
        /// Number of the writes.
        writes: usize,
    },
    /// The items of the transaction are too large together.
    #[error("the transaction's items have {bytes} bytes; DynamoDB allows at most {TRANSACTION_BYTES}")]
    TransactionBytes {
        /// Sum of the items' sizes, as far as it is known before the transaction runs.
        bytes: usize,
    },
    /// Two writes of the transaction have the same row.
    #[error("the writes {first} and {second} of the transaction have the same row; DynamoDB allows one")]
    SameRow {
        /// Position of the first of the two, from 0.
        first: usize,
        /// Position of the second.
        second: usize,
    },
}

/// Size of an item as DynamoDB counts it: names and values in UTF-8.
#[must_use]
pub fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

/// Lists and maps have 3 bytes of overhead and 1 for each element.
pub(crate) fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number_bytes(number),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|number| number_bytes(number)).sum(),
        AttributeValue::Bs(all) => all.iter().map(|bytes| bytes.as_ref().len()).sum(),
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + value_bytes(value)).sum::<usize>(),
        AttributeValue::M(map) => {
            3 + map.iter().map(|(name, value)| 1 + name.len() + value_bytes(value)).sum::<usize>()
        }
        // NULL, a boolean, or a type that is newer than this code.
        _ => 1,
    }
}

/// One byte for two significant digits, one more, and one for a sign. Zeros at both ends are not significant.
pub(crate) fn number_bytes(number: &str) -> usize {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let significant = digits.trim_start_matches('0').trim_end_matches('0').len();
    significant.div_ceil(2) + 1 + usize::from(number.starts_with('-'))
}

pub(crate) fn check_item(item: &Item) -> Result<(), Limit> {
    let bytes = item_bytes(item);
    if bytes > ITEM_BYTES { Err(Limit::Item { bytes }) } else { Ok(()) }
}

/// Checks the key attributes of an item of either table. A sort key that is a number is always small enough.
pub(crate) fn check_key(key: &Item) -> Result<(), Limit> {
    let bytes = |name: &str| key.get(name).map_or(0, value_bytes);
    let partition = bytes("pk").max(bytes("run"));
    if partition > PARTITION_KEY_BYTES {
        return Err(Limit::PartitionKey { bytes: partition });
    }
    let sort = bytes("sk");
    if sort > SORT_KEY_BYTES { Err(Limit::SortKey { bytes: sort }) } else { Ok(()) }
}
