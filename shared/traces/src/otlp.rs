//! Requests of OTLP over HTTP, as JSON (<https://opentelemetry.io/docs/specs/otlp/>).

use serde::{Deserialize, Serialize};

use crate::{Attribute, RunTrace, Span, TraceId};

/// Bytes of the spans of a request at most, unless one span alone has more. Collectors accept several times this.
const MAX_BYTES: usize = 1_000_000;
/// The name of the instrumentation.
const SCOPE: &str = "sequent";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The spans of a trace as JSON, each complete with the id of the trace.
pub(crate) type EncodedSpans = Vec<String>;

/// A collector's response to spans that it has accepted, perhaps not all.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ExportResponse {
    pub(crate) partial_success: Option<PartialSuccess>,
}

/// The spans that a collector has refused for good, out of a request that it has accepted.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PartialSuccess {
    rejected_spans: Rejected,
    pub(crate) error_message: String,
}

/// A number of spans. Senders of JSON may write it as a text or as a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Rejected {
    Number(u64),
    Text(String),
}

impl Default for Rejected {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl PartialSuccess {
    pub(crate) fn rejected(&self) -> u64 {
        match &self.rejected_spans {
            Rejected::Number(count) => *count,
            Rejected::Text(text) => text.parse().unwrap_or(0),
        }
    }
}

/// Encodes the spans of a trace.
pub(crate) fn encode(trace: &RunTrace) -> EncodedSpans {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Encoded<'a> {
        trace_id: TraceId,
        #[serde(flatten)]
        span: &'a Span,
    }
    let encoded = trace.spans.iter().map(|span| Encoded { trace_id: trace.id, span });
    encoded.map(|span| json(&span)).collect()
}

/// Returns the body of a request with these spans.
pub(crate) fn request(resource: &[Attribute], spans: &[String]) -> String {
    let resource = json(&resource);
    let spans = spans.join(",");
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":{resource}}},"scopeSpans":[{{"scope":{{"name":"{SCOPE}","version":"{VERSION}"}},"spans":[{spans}]}}]}}]}}"#
    )
}

/// Divides spans into those of single requests.
pub(crate) fn batches(spans: &[String]) -> Vec<&[String]> {
    let mut batches = Vec::new();
    let mut from = 0;
    let mut bytes = 0;
    for (at, span) in spans.iter().enumerate() {
        if bytes + span.len() > MAX_BYTES && at > from {
            batches.push(&spans[from..at]);
            from = at;
            bytes = 0;
        }
        bytes += span.len();
    }
    if from < spans.len() {
        batches.push(&spans[from..]);
    }
    batches
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a span has texts for keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_divided_by_their_size_and_none_is_lost() {
        let span = |bytes: usize| "x".repeat(bytes);
        let spans = [span(600_000), span(400_000), span(1), span(3_000_000), span(2)];
        let sizes: Vec<usize> = batches(&spans).iter().map(|batch| batch.len()).collect();
        assert_eq!(sizes, [2, 1, 1, 1]);
        assert!(batches(&[]).is_empty());
    }

    #[test]
    fn a_partial_success_is_read_in_both_forms() {
        for count in ["\"3\"", "3"] {
            let text =
                format!(r#"{{"partialSuccess":{{"rejectedSpans":{count},"errorMessage":"too long"}}}}"#);
            let response: ExportResponse = serde_json::from_str(&text).unwrap();
            assert_eq!(response.partial_success.unwrap().rejected(), 3);
        }
        let empty: ExportResponse = serde_json::from_str("{}").unwrap();
        assert!(empty.partial_success.is_none());
    }
}
