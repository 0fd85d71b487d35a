//! The capacity units that DynamoDB would charge, counted per request.
//!
//! `ReturnConsumedCapacity=INDEXES` is added to every counted request, and the responses are summed.
//! `dynoxide` prices by the rules of the DynamoDB developer guide ("Read and write operations"): a write
//! costs one unit per started KB of the larger of the old and the new item, each index it changes the same
//! again, a transaction twice that; a strongly consistent read one unit per started 4 KB, an eventually
//! consistent one half. A write with a failed condition is charged too, but its response has no units: it
//! counts as one unit per item.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Requests and their units.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Usage {
    pub(crate) write_units: f64,
    pub(crate) read_units: f64,
    /// Units by operation and table.
    pub(crate) units: BTreeMap<String, f64>,
    /// Number of requests by operation.
    pub(crate) requests: BTreeMap<String, u64>,
    pub(crate) failed_writes: u64,
    /// Time of each write at the database, in milliseconds.
    pub(crate) write_ms: Vec<f64>,
}

impl Usage {
    /// Adds the units of a response.
    pub(crate) fn add(&mut self, operation: &str, request: &[u8], ok: bool, answer: &[u8], took_ms: f64) {
        *self.requests.entry(operation.to_owned()).or_default() += 1;
        let writes = matches!(
            operation,
            "PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems" | "BatchWriteItem"
        );
        if writes {
            self.write_ms.push(took_ms);
        }
        if !ok {
            if writes {
                self.failed_writes += 1;
                self.write_units += refused(operation, request);
            }
            return;
        }
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let prices = match &answer["ConsumedCapacity"] {
            Value::Array(prices) => prices.clone(),
            price => vec![price.clone()],
        };
        for price in prices {
            let units = price["CapacityUnits"].as_f64().unwrap_or(0.0);
            let table = price["TableName"].as_str().unwrap_or("?");
            *self.units.entry(format!("{operation} {table}")).or_default() += units;
            *(if writes { &mut self.write_units } else { &mut self.read_units }) += units;
        }
    }

    /// Returns `GetItem 2, ...`: the number of requests per operation.
    pub(crate) fn operations(&self) -> String {
        let parts: Vec<_> = self.requests.iter().map(|(name, count)| format!("{name} {count}")).collect();
        parts.join(", ")
    }

    /// Returns `PutItem events 42, ...`: the units per operation and table.
    pub(crate) fn breakdown(&self) -> String {
        let parts: Vec<_> = self.units.iter().map(|(what, units)| format!("{what} {units}")).collect();
        let refused = format!("{} refused writes", self.failed_writes);
        parts.into_iter().chain((self.failed_writes > 0).then_some(refused)).collect::<Vec<_>>().join(", ")
    }
}

fn refused(operation: &str, request: &[u8]) -> f64 {
    if operation != "TransactWriteItems" {
        return 1.0;
    }
    let request: Value = serde_json::from_slice(request).unwrap_or_default();
    2.0 * request["TransactItems"].as_array().map_or(0, Vec::len) as f64
}

/// Returns the units of writing a new item, by its size.
pub(crate) fn item_units(item: &HashMap<String, AttributeValue>) -> f64 {
    let bytes: usize = item.iter().map(|(name, value)| name.len() + size(value)).sum();
    bytes.div_ceil(1024).max(1) as f64
}

/// Returns the bytes of a value (DynamoDB developer guide, "Item sizes and formats").
fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        // One byte for two significant digits, and one more.
        AttributeValue::N(number) => number.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + size(value)).sum::<usize>(),
        AttributeValue::M(map) => {
            3 + map.iter().map(|(name, value)| 1 + name.len() + size(value)).sum::<usize>()
        }
        AttributeValue::Ss(set) | AttributeValue::Ns(set) => set.iter().map(String::len).sum(),
        AttributeValue::Bs(set) => set.iter().map(|bytes| bytes.as_ref().len()).sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_added_up() {
        let mut usage = Usage::default();
        let answer = br#"{"ConsumedCapacity":[{"TableName":"main","CapacityUnits":6.0},{"TableName":"events","CapacityUnits":2.0}]}"#;
        usage.add("TransactWriteItems", b"{}", true, answer, 1.0);
        usage.add(
            "GetItem",
            b"{}",
            true,
            br#"{"ConsumedCapacity":{"TableName":"main","CapacityUnits":0.5}}"#,
            1.0,
        );
        usage.add("PutItem", b"{}", false, b"{}", 1.0);
        assert_eq!((usage.write_units, usage.read_units, usage.failed_writes), (9.0, 0.5, 1));
        assert_eq!(usage.units["TransactWriteItems main"], 6.0);
        assert_eq!(usage.write_ms.len(), 2);
    }

    #[test]
    fn an_item_costs_by_its_size() {
        let item = |length: usize| {
            HashMap::from([
                ("seq".to_owned(), AttributeValue::N("1234".to_owned())),
                ("text".to_owned(), AttributeValue::S("x".repeat(length))),
            ])
        };
        // 3 + 3 bytes of the number, 4 of the text's name.
        assert_eq!(item_units(&item(1024 - 10)), 1.0);
        assert_eq!(item_units(&item(1024 - 9)), 2.0);
    }
}
