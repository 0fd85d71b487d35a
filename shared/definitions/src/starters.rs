//! Definitions to begin with. Each is the body of a request that creates an agent.

use serde_json::Value;

/// The files, by name.
const FILES: [&str; 4] = [
    include_str!("../starters/assistant.json"),
    include_str!("../starters/researcher.json"),
    include_str!("../starters/report-writer.json"),
    include_str!("../starters/data-extractor.json"),
];

/// Returns the starters: a general assistant, a researcher, a report writer, and a data extractor.
#[must_use]
pub fn starters() -> Vec<Value> {
    FILES.iter().filter_map(|text| serde_json::from_str(text).ok()).collect()
}
