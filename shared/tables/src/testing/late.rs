//! Late index entries. DynamoDB updates a global secondary index some time after the table, so that a query of an index
//! may miss what was just written and find what was just changed or deleted.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value};
use tokio::time::Instant;

/// The attributes that index entries consist of.
const ATTRIBUTES: [&str; 6] = ["pk", "sk", "gsi1pk", "gsi1sk", "gsi2pk", "gsi2sk"];

/// The index entries of an item: its attributes that the indexes show. `None` if there is no item.
pub(super) type Entry = Option<Map<String, Value>>;

/// The entries that the indexes show, of the items that were written lately.
#[derive(Debug, Default)]
pub(super) struct Late(Mutex<BTreeMap<String, Shown>>);

#[derive(Debug)]
struct Shown {
    entry: Entry,
    /// The time from which the indexes show the item as it is.
    until: Instant,
}

/// Returns the table and the key of every item that a request writes.
pub(super) fn written(request: &Value) -> Vec<(Value, Value)> {
    let single = std::iter::once(request);
    let actions = request["TransactItems"].as_array().into_iter().flatten();
    let actions = actions.flat_map(|action| ["Put", "Update", "Delete"].map(|kind| &action[kind]));
    single.chain(actions).filter_map(|write| Some((write["TableName"].clone(), key_of(write)?))).collect()
}

/// The key of the written item in the main table. The other table has no index.
fn key_of(write: &Value) -> Option<Value> {
    let source = if write["Item"].is_object() { &write["Item"] } else { &write["Key"] };
    let key: Map<_, _> = ["pk", "sk"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), source.get(*name)?.clone())))
        .collect();
    (key.len() == 2).then_some(Value::Object(key))
}

/// Returns the entry of an item.
pub(super) fn entry_of(item: &Value) -> Entry {
    let item = item.as_object()?;
    Some(
        item.iter()
            .filter(|(name, _)| ATTRIBUTES.contains(&name.as_str()))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect(),
    )
}

impl Late {
    /// Notes that an item was written: the indexes show `before` until the delay is over.
    pub(super) fn note(&self, key: &Value, before: Entry, after: &Entry, delay: Duration) {
        let now = Instant::now();
        let mut shown = self.shown();
        shown.retain(|_, shown| shown.until > now);
        let entry = shown.remove(&key.to_string()).map_or(before, |shown| shown.entry);
        if entry != *after {
            shown.insert(key.to_string(), Shown { entry, until: now + delay });
        }
    }

    /// Lets the indexes show everything.
    pub(super) fn clear(&self) {
        self.shown().clear();
    }

    /// Corrects the answer to a query of an index to what the index shows.
    pub(super) fn correct(&self, request: &Value, answer: &mut Value) {
        let now = Instant::now();
        let late: BTreeMap<String, Entry> = self
            .shown()
            .iter()
            .filter(|(_, shown)| shown.until > now)
            .map(|(key, shown)| (key.clone(), shown.entry.clone()))
            .collect();
        let is_only_page = request["ExclusiveStartKey"].is_null() && answer["LastEvaluatedKey"].is_null();
        let Some(items) = answer["Items"].as_array_mut() else { return };
        items.retain(|item| {
            key_of(&serde_json::json!({ "Key": item })).is_none_or(|key| !late.contains_key(&key.to_string()))
        });
        if is_only_page {
            let stale = late.into_values().flatten().filter(|entry| matches(request, entry));
            items.extend(stale.map(Value::Object));
            sort(request, items);
        }
        let count = items.len();
        answer["Count"] = count.into();
        answer["ScannedCount"] = count.into();
    }

    fn shown(&self) -> MutexGuard<'_, BTreeMap<String, Shown>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sort(request: &Value, items: &mut [Value]) {
    let name = format!("{}sk", request["IndexName"].as_str().unwrap_or_default());
    items.sort_by(|a, b| a[&name]["S"].as_str().cmp(&b[&name]["S"].as_str()));
    if request["ScanIndexForward"] == Value::Bool(false) {
        items.reverse();
    }
}

/// Evaluates a key condition of the form `name = :value AND name < :value`, the only one that the tables use.
fn matches(request: &Value, entry: &Map<String, Value>) -> bool {
    let condition = request["KeyConditionExpression"].as_str().unwrap_or_default();
    condition.split(" AND ").all(|term| {
        let mut words = term.split_whitespace();
        let [Some(name), Some(comparison), Some(value)] = [words.next(), words.next(), words.next()] else {
            return false;
        };
        let name = request["ExpressionAttributeNames"][name].as_str().unwrap_or(name);
        let value = request["ExpressionAttributeValues"][value]["S"].as_str();
        let found = entry.get(name).and_then(|found| found["S"].as_str());
        let (Some(found), Some(value)) = (found, value) else { return false };
        match comparison {
            "=" => found == value,
            "<" => found < value,
            "<=" => found <= value,
            ">" => found > value,
            ">=" => found >= value,
            _ => false,
        }
    })
}
