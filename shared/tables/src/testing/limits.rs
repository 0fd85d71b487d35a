//! Limits that emulators of DynamoDB do not all enforce: the size of a transaction, and of the answer to a batch.
//!
//! The other limits (items per request, bytes of an item, of a key, of an expression, of a page) are enforced by the
//! emulators; [`super::conformance`] checks that they are.

use bytes::Bytes;
use serde_json::{Value, json};

use super::refusal::{self, Refusal};
use crate::limit::{TRANSACTION_BYTES, number_bytes};

/// Largest answer to a `BatchGetItem`. The rest of the keys is unprocessed then.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// Returns the refusal of a transaction that is too large. An update counts with what its request carries, because the
/// item that it leads to is not known here.
pub(super) fn check_transaction(body: &Bytes) -> Option<Refusal> {
    // No item is larger than its JSON.
    if body.len() <= TRANSACTION_BYTES {
        return None;
    }
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let actions = request["TransactItems"].as_array().into_iter().flatten();
    let bytes: usize = actions.map(action_bytes).sum();
    let message = "Collection size of items exceeded, which can also be caused by the aggregate size of the items in the \
                   transaction exceeding the 4MB limit";
    (bytes > TRANSACTION_BYTES).then(|| refusal::invalid(message))
}

fn action_bytes(action: &Value) -> usize {
    let parts = ["Put", "Update", "Delete", "ConditionCheck"].map(|kind| &action[kind]);
    let attributes = |part: &Value, name: &str| map_bytes(&part[name]);
    parts
        .into_iter()
        .map(|part| {
            ["Item", "Key", "ExpressionAttributeValues"]
                .map(|name| attributes(part, name))
                .iter()
                .sum::<usize>()
        })
        .sum()
}

/// Size of attributes in DynamoDB's JSON: names and values in UTF-8.
fn map_bytes(attributes: &Value) -> usize {
    attributes.as_object().into_iter().flatten().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|object| object.iter().next()) else { return 0 };
    let text = |value: &Value| value.as_str().map_or(0, str::len);
    let elements = || value.as_array().into_iter().flatten();
    match kind.as_str() {
        "S" => text(value),
        "N" => value.as_str().map_or(0, number_bytes),
        "B" => text(value) / 4 * 3,
        "SS" => elements().map(text).sum(),
        "NS" => elements().filter_map(Value::as_str).map(number_bytes).sum(),
        "BS" => elements().map(|bytes| text(bytes) / 4 * 3).sum(),
        "L" => 3 + elements().map(|element| 1 + value_bytes(element)).sum::<usize>(),
        "M" => 3 + value.as_object().map_or(0, serde_json::Map::len) + map_bytes(value),
        _ => 1,
    }
}

/// Returns `true` if the answer to a batch is larger than DynamoDB makes it.
pub(super) fn is_too_large(answer: &Bytes) -> bool {
    if answer.len() <= BATCH_BYTES {
        return false;
    }
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let tables = answer["Responses"].as_object().into_iter().flatten().map(|(_, items)| items);
    let items = tables.flat_map(|items| items.as_array().into_iter().flatten());
    items.map(map_bytes).sum::<usize>() > BATCH_BYTES
}

/// Splits a batch: returns a request for the first half of the keys of each table, at least one, and the rest as
/// `UnprocessedKeys`. Returns `None` if there is only one key.
pub(super) fn split(request: &Value) -> Option<(Value, Value)> {
    let mut first = request.clone();
    let mut rest = json!({});
    for (table, wanted) in first["RequestItems"].as_object_mut()? {
        let keys = wanted["Keys"].as_array_mut()?;
        let left = keys.split_off(keys.len().div_ceil(2));
        if !left.is_empty() {
            rest[table] = wanted.clone();
            rest[table]["Keys"] = left.into();
        }
    }
    rest.as_object().is_some_and(|rest| !rest.is_empty()).then_some((first, rest))
}

/// Adds keys to the `UnprocessedKeys` of an answer.
pub(super) fn leave(answer: &mut Value, rest: Value) {
    let Value::Object(rest) = rest else { return };
    for (table, wanted) in rest {
        let unprocessed = &mut answer["UnprocessedKeys"][&table];
        match (unprocessed["Keys"].as_array_mut(), &wanted["Keys"]) {
            (Some(keys), Value::Array(more)) => keys.extend(more.iter().cloned()),
            _ => *unprocessed = wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_an_item_is_that_of_the_typed_one() {
        let typed = json!({ "text": "é\"", "n": -12345, "list": ["ab", null, true], "map": { "key": "v", "n": 1200 } });
        let item: crate::Item = serde_dynamo::to_item(&typed).unwrap();
        let dynamo = json!({
            "text": { "S": "é\"" }, "n": { "N": "-12345" },
            "list": { "L": [{ "S": "ab" }, { "NULL": true }, { "BOOL": true }] },
            "map": { "M": { "key": { "S": "v" }, "n": { "N": "1200" } } },
        });
        assert_eq!(map_bytes(&dynamo), crate::limit::item_bytes(&item));
    }

    #[test]
    fn a_batch_is_split_until_one_key_is_left() {
        let request = json!({ "RequestItems": { "main": { "Keys": [1, 2, 3], "ConsistentRead": true } } });
        let (first, rest) = split(&request).unwrap();
        assert_eq!(first["RequestItems"]["main"]["Keys"], json!([1, 2]));
        assert_eq!(rest, json!({ "main": { "Keys": [3], "ConsistentRead": true } }));
        let (first, _) = split(&first).unwrap();
        assert_eq!(split(&first), None);
        let mut answer = json!({ "UnprocessedKeys": { "main": { "Keys": [2] } } });
        leave(&mut answer, rest);
        assert_eq!(answer["UnprocessedKeys"]["main"]["Keys"], json!([2, 3]));
    }
}
