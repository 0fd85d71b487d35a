//! The golden events `events/<function>/<case>.json`: one payload for each trigger and edge case of a function.

use std::fs;
use std::path::PathBuf;

/// Reads the text of a golden event.
///
/// # Panics
/// If the event does not exist.
#[must_use]
pub fn text(function: &str, case: &str) -> String {
    let path = folder(function).join(format!("{case}.json"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Lists the cases of a function in the order of their names.
///
/// # Panics
/// If the function has no golden events.
#[must_use]
pub fn cases(function: &str) -> Vec<String> {
    let folder = folder(function);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut cases: Vec<_> = names.filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect();
    cases.sort();
    cases
}

fn folder(function: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../events", function].iter().collect()
}
