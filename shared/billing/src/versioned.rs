//! Rows with a version: a change writes the attributes that differ, under the version that was read.
//!
//! Instances of two versions of this code write the same rows during a deployment. A write of the whole row would drop the
//! attributes that the older instance does not know.

use sequent_tables::{Error, Key, Row, Update, Write, attribute};
use serde::Serialize;
use serde_json::{Map, Value};

/// The attribute that every change increments.
const VERSION: &str = "version";

/// Builds the write that turns the row `before`, as it was read, into `after`. It inserts the row if there was none. The
/// write does not hold if the row was changed since it was read.
///
/// # Errors
/// Returns an error if the row does not serialise to a map.
///
/// # Panics
/// Never: a row is plain data.
pub fn versioned<T: Serialize>(key: &Key, before: Option<&T>, after: &T) -> Result<Write, Error> {
    let Some(before) = before else { return Ok(Write::insert(Row::new(key, after)?)) };
    let before = attributes(before);
    let after = attributes(after);
    let seen = attribute(VERSION).equals(before.get(VERSION));
    let changed = after.iter().filter(|(name, value)| before.get(*name) != Some(*value));
    let update = changed.fold(Update::of(key), |update, (name, value)| update.set(name.as_str(), value));
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    Ok(gone.fold(update, |update, name| update.remove(name.as_str())).when(seen).into())
}

/// The attributes of a row's body.
fn attributes<T: Serialize>(body: &T) -> Map<String, Value> {
    let body = serde_json::to_value(body).expect("a row is plain data");
    body.as_object().cloned().unwrap_or_default()
}
