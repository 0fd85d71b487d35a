//! Golden requests: the recorded events of a function, with their answers held to its API description.
//!
//! The events are the files `events/<function>/<case>.json`. A function's test sends each of them, and keeps each
//! answer as a snapshot beside the case:
//!
//! ```ignore
//! #[tokio::test]
//! async fn a_project_is_shown() {
//!     insta::assert_snapshot!(answer("get").await, @"...");
//! }
//! ```
//!
//! [`Golden::render`] makes that text. It panics if the API description does not allow the answer, and it replaces
//! what differs from run to run. The description of a stream is the schema of the data of its frames.

use std::collections::HashMap;

use boon::{Compiler, Draft, Schemas};
use regex::{Captures, Regex};
use sequent_core::golden;
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

use super::{Answer, Event};
use crate::problem;

/// The comment that a stream sends when it has been silent for a while, which depends on the machine.
const HEARTBEAT: &str = ": heartbeat\n\n";
/// The data of the frame that ends a UI message stream. It is not JSON.
const END_MARK: &str = "[DONE]";

/// The golden requests of one function.
#[derive(Debug)]
pub struct Golden {
    function: &'static str,
    document: Value,
    redactions: Vec<(Regex, &'static str)>,
}

impl Golden {
    /// The requests of the function with this name and this API description.
    ///
    /// # Panics
    /// If the description cannot be serialised.
    #[must_use]
    pub fn new(function: &'static str, document: &OpenApi) -> Self {
        let document = serde_json::to_value(document).expect("an API description is JSON");
        let golden = Self { function, document, redactions: Vec::new() };
        golden
            .redact(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z", "[time]")
            .redact(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", "[jwt]")
            .redact(r"rt_[A-Za-z0-9_.-]{16,}", "[refresh token]")
            .redact(r"sk_[A-Za-z0-9_.-]{16,}", "[API key]")
            .redact(r#""next_cursor": "[^"]*""#, r#""next_cursor": "[cursor]""#)
    }

    /// Replaces the matches of a regular expression in every rendered answer.
    ///
    /// # Panics
    /// If the pattern is not a regular expression.
    #[must_use]
    pub fn redact(mut self, pattern: &str, replacement: &'static str) -> Self {
        self.redactions.push((Regex::new(pattern).expect("a regular expression"), replacement));
        self
    }

    /// Replaces the text value of a JSON member in every rendered answer.
    #[must_use]
    pub fn redact_member(self, name: &'static str) -> Self {
        self.redact(&format!("(?P<name>\"{name}\": )\"[^\"]*\""), "$name\"[redacted]\"")
    }

    /// Requires that the source of the test names every case as a string literal.
    ///
    /// # Panics
    /// If a case is missing.
    pub fn assert_all_tested(&self, source: &str) {
        let missing: Vec<_> = golden::cases(self.function)
            .into_iter()
            .filter(|case| !source.contains(&format!("\"{case}\"")))
            .collect();
        assert!(missing.is_empty(), "no test sends these events of {}: {missing:?}", self.function);
    }

    /// The event of a case, with the first text of each pair replaced by the second.
    ///
    /// # Panics
    /// If the file is missing or not JSON.
    #[must_use]
    pub fn event(&self, case: &str, replacements: &[(&str, &str)]) -> Event {
        let text = golden::text(self.function, case);
        let text = replacements.iter().fold(text, |text, (from, to)| text.replace(from, to));
        Event::from_text(&text)
    }

    /// The answer as text: the status, the media type and the body, without what differs from run to run.
    ///
    /// # Panics
    /// If the API description does not allow the answer.
    #[must_use]
    pub fn render(&self, event: &Event, answer: &Answer) -> String {
        self.check(event, answer);
        let media_type = media_type(answer);
        let body = if is_json(media_type) {
            serde_json::to_string_pretty(&answer.json()).expect("JSON can be written")
        } else {
            answer.text().replace(HEARTBEAT, "")
        };
        self.redacted(format!("{} {media_type}\n{body}", answer.status.as_u16()).trim_end())
    }

    fn redacted(&self, text: &str) -> String {
        let text = number_ids(text);
        self.redactions
            .iter()
            .fold(text, |text, (pattern, replacement)| pattern.replace_all(&text, *replacement).into_owned())
    }

    /// Requires that the API description allows the answer.
    ///
    /// # Panics
    /// If it does not.
    pub fn check(&self, event: &Event, answer: &Answer) {
        let is_preflight = event.method() == "OPTIONS";
        if is_preflight || matches!(answer.code().as_str(), "route_not_found" | "method_not_allowed") {
            return;
        }
        let name = format!("{} {}", event.method(), event.path());
        let operation = self.operation(event).unwrap_or_else(|| panic!("{name} is not described"));
        let response = self
            .response(operation, answer.status.as_u16())
            .unwrap_or_else(|| panic!("{name}: the status {} is not described", answer.status));
        if answer.body.is_empty() {
            return;
        }
        let media_type = media_type(answer);
        let schema = match response.pointer(&format!("/content/{}", media_type.replace('/', "~1"))) {
            Some(content) => content["schema"].clone(),
            None if media_type == problem::MEDIA_TYPE => json!({ "$ref": "#/components/schemas/Problem" }),
            None => panic!("{name}: the media type {media_type} of {} is not described", answer.status),
        };
        for value in documents(media_type, answer) {
            if let Err(error) = self.validate(&schema, &value) {
                panic!("{name}: the answer is not as described: {error}\n{value}\nin {}", answer.text());
            }
        }
    }

    fn operation(&self, event: &Event) -> Option<&Value> {
        let paths = self.document["paths"].as_object()?;
        let path = event.path().trim_end_matches('/');
        let matching = paths.iter().filter(|(template, _)| is_match(template, path));
        // A literal path wins over one with parameters, as in the router.
        let (_, item) = matching.min_by_key(|(template, _)| template.matches('{').count())?;
        item.get(event.method().to_lowercase())
    }

    fn response<'a>(&'a self, operation: &'a Value, status: u16) -> Option<&'a Value> {
        let responses = &operation["responses"];
        let fallback = responses.get("default").filter(|_| status >= 400);
        let response = responses.get(status.to_string()).or(fallback)?;
        match response["$ref"].as_str() {
            Some(reference) => self.document.pointer(reference.trim_start_matches('#')),
            None => Some(response),
        }
    }

    /// A member that the schema does not name is an error, too, at the top level of the answer.
    fn validate(&self, schema: &Value, value: &Value) -> Result<(), String> {
        const LOCATION: &str = "https://schema.invalid/answer";
        let resource = json!({
            "components": self.document["components"], "allOf": [schema], "unevaluatedProperties": false,
        });
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        compiler.enable_format_assertions();
        compiler.add_resource(LOCATION, resource).map_err(|error| error.to_string())?;
        let mut schemas = Schemas::new();
        let index = compiler.compile(LOCATION, &mut schemas).map_err(|error| error.to_string())?;
        schemas.validate(value, index).map_err(|error| format!("{error:#}"))
    }
}

/// The values in the body that the schema describes. In a stream, these are the data of its frames.
fn documents(media_type: &str, answer: &Answer) -> Vec<Value> {
    if is_json(media_type) {
        return vec![answer.json()];
    }
    if media_type != "text/event-stream" {
        return Vec::new();
    }
    let text = answer.text();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != END_MARK);
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error} in {data}"))).collect()
}

/// Replaces each id by its prefix and a number, so that equal ids stay equal: `run_01K9...` becomes `run_1`.
fn number_ids(text: &str) -> String {
    let pattern = Regex::new("([a-z]{3,4})_[0-7][0-9A-HJKMNP-TV-Z]{25}").expect("a regular expression");
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let numbered = pattern.replace_all(text, |found: &Captures<'_>| {
        let prefix = &found[1];
        let number = known.entry(found[0].to_owned()).or_insert_with(|| {
            let count = counts.entry(prefix.to_owned()).or_default();
            *count += 1;
            *count
        });
        format!("{prefix}_{number}")
    });
    numbered.into_owned()
}

fn is_match(template: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    template.split('/').all(|expected| {
        segments.next().is_some_and(|segment| expected == segment || expected.starts_with('{'))
    }) && segments.next().is_none()
}

fn media_type(answer: &Answer) -> &str {
    answer.header("content-type").split(';').next().unwrap_or_default()
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ids_stay_equal() {
        let text =
            "run_01K9Z3AAAAAAAAAAAAAAAAAAAA prj_01K9Z3AAAAAAAAAAAAAAAAAAAA run_01K9Z3BBBBBBBBBBBBBBBBBBBB";
        let twice = format!("{text} {text}");
        assert_eq!(number_ids(&twice), "run_1 prj_1 run_2 run_1 prj_1 run_2");
    }

    #[test]
    fn a_path_matches_its_template_alone() {
        assert!(is_match("/api/runs/{id}", "/api/runs/run_1"));
        assert!(!is_match("/api/runs/{id}", "/api/runs"));
        assert!(!is_match("/api/runs/{id}", "/api/runs/run_1/events"));
        assert!(!is_match("/api/runs/{id}", "/api/jobs/run_1"));
    }

    #[test]
    fn an_undocumented_member_and_a_wrong_type_are_found() {
        let golden = Golden::new("none", &crate::openapi::base());
        let schema = json!({ "$ref": "#/components/schemas/FieldError" });
        assert_eq!(golden.validate(&schema, &json!({ "detail": "a" })), Ok(()));
        assert!(golden.validate(&schema, &json!({ "detail": 1 })).is_err());
        assert!(golden.validate(&schema, &json!({ "detail": "a", "more": 1 })).is_err());
    }

    #[test]
    fn each_frame_of_a_stream_is_a_document() {
        let body = "id: 1\nevent: A\ndata: {\"a\":1}\n\n: heartbeat\n\ndata: 2\n\ndata: [DONE]\n\n";
        let answer =
            Answer { status: http::StatusCode::OK, headers: http::HeaderMap::new(), body: body.into() };
        assert_eq!(documents("text/event-stream", &answer), [json!({ "a": 1 }), json!(2)]);
        assert_eq!(documents("text/plain", &answer), [] as [Value; 0]);
    }
}
