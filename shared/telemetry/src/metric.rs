//! Metrics in CloudWatch's embedded metric format: a log line from which CloudWatch takes a value.
//!
//! The line costs no call and no permission (CloudWatch user guide, "Embedding metrics within logs").

use sequent_core::Timestamp;
use serde_json::{Value, json};

const NAMESPACE: &str = "Sequent";

/// Publishes a number for the stack.
pub fn count(name: &str, value: u64, stack: &str) {
    crate::write_stdout(&format!("{}\n", line(name, value, stack, Timestamp::now())));
}

fn line(name: &str, value: u64, stack: &str, at: Timestamp) -> Value {
    let metrics = json!([{ "Name": name, "Unit": "Count" }]);
    let directive = json!([{ "Namespace": NAMESPACE, "Dimensions": [["Stack"]], "Metrics": metrics }]);
    json!({
        "_aws": { "Timestamp": at.millis(), "CloudWatchMetrics": directive },
        "Stack": stack,
        name: value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_declares_the_value_that_it_contains() {
        let line = line("AuditFindings", 3, "sequent", Timestamp::from_millis(1_700_000_000_000));
        let metric = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(metric["Metrics"][0]["Name"], "AuditFindings");
        assert_eq!((&line["AuditFindings"], &line["Stack"]), (&json!(3), &json!("sequent")));
        assert_eq!(line["_aws"]["Timestamp"], 1_700_000_000_000_i64);
    }
}
