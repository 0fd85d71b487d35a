//! The layer that makes one line of an event and the spans around it.

use std::fmt::{self, Write as _};

use sequent_core::Timestamp;
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    layer::{Context, Layer},
    registry::LookupSpan,
};

use crate::{Format, redact};

/// A layer that passes each event to `write`, as one redacted line.
///
/// The line contains the fields of the spans around the event, so every line within a request has its id. An inner
/// field replaces an outer one with the same name.
pub struct Lines<W> {
    format: Format,
    write: W,
}

impl<W: Fn(&str)> Lines<W> {
    /// A layer for lines in this format.
    #[must_use]
    pub fn new(format: Format, write: W) -> Self {
        Self { format, write }
    }
}

/// The fields of a span. They are redacted when they are recorded.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl<W, S> Layer<S> for Lines<W>
where
    W: Fn(&str) + Send + Sync + 'static,
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(Fields(fields)) = span.extensions().get::<Fields>() {
                line.0.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
        }
        event.record(&mut line);
        let metadata = event.metadata();
        let text = match self.format {
            Format::Json => json(line.0, metadata.level().as_str(), metadata.target()),
            Format::Text => human(line.0, metadata.level().as_str(), metadata.target()),
        };
        (self.write)(&text);
    }
}

fn json(fields: Map<String, Value>, level: &str, target: &str) -> String {
    let mut line = fields;
    // The log filter of Lambda reads `level`, and CloudWatch reads `timestamp`. No field may replace them.
    line.insert("timestamp".to_owned(), Timestamp::now().to_string().into());
    line.insert("level".to_owned(), level.into());
    line.insert("target".to_owned(), target.into());
    let mut text = Value::Object(line).to_string();
    text.push('\n');
    text
}

fn human(mut fields: Map<String, Value>, level: &str, target: &str) -> String {
    let now = Timestamp::now().to_string();
    let time = now.get(11..23).unwrap_or(&now);
    let message = fields.remove("message");
    let message = message.as_ref().and_then(Value::as_str).unwrap_or_default();
    let mut text = format!("{time} {level:>5} {target}: {message}");
    for (name, value) in fields {
        let _ = match value {
            Value::String(value) if !value.contains(' ') => write!(text, " {name}={}", value.escape_debug()),
            value => write!(text, " {name}={value}"),
        }; // writing to a String cannot fail
    }
    text.push('\n');
    text
}

impl Fields {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        let value = if redact::is_secret_name(field.name()) { redact::MARK.into() } else { value.into() };
        self.0.insert(field.name().to_owned(), value);
    }

    fn insert_text(&mut self, field: &Field, text: &str) {
        self.insert(field, redact::scrub(text).into_owned());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert_text(field, value);
    }

    /// Records an error with its sources, which an operator needs.
    fn record_error(&mut self, field: &Field, error: &(dyn std::error::Error + 'static)) {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}"); // writing to a String cannot fail
            cause = error.source();
        }
        self.insert_text(field, &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert_text(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::capture;

    const JWT: &str = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMSJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ";

    #[test]
    fn a_line_carries_the_fields_of_its_spans_and_their_later_values() {
        let (guard, lines) = capture();
        let span = tracing::info_span!("request", request_id = "req_1", status = tracing::field::Empty);
        span.in_scope(|| {
            tracing::info_span!("inner", request_id = "req_2").in_scope(|| tracing::info!(n = 3, "hello"));
            span.record("status", 200);
            tracing::info!("done");
        });
        drop(guard);
        let lines = lines.lines();
        assert_eq!(lines[0]["request_id"], "req_2");
        assert_eq!(lines[0]["n"], 3);
        assert_eq!(lines[0]["message"], "hello");
        assert_eq!(lines[1]["request_id"], "req_1");
        assert_eq!(lines[1]["status"], 200);
        assert_eq!(lines[1]["level"], "INFO");
    }

    #[test]
    fn an_error_shows_its_causes() {
        #[derive(Debug)]
        struct Outer(std::num::ParseIntError);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("no number")
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let (guard, lines) = capture();
        let error = Outer("x".parse::<u8>().unwrap_err());
        tracing::warn!(error = &error as &dyn std::error::Error, "failed");
        drop(guard);
        assert_eq!(lines.lines()[0]["error"], "no number: invalid digit found in string");
    }

    #[test]
    fn a_token_never_appears_however_it_gets_into_a_line() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "read through Debug")]
        struct Request {
            authorization: String,
            note: String,
        }
        let (guard, lines) = capture();
        let header = format!("Bearer {JWT}");
        let request = Request { authorization: header.clone(), note: header.clone() };
        let span =
            tracing::info_span!("request", cookie = %format!("sequent_access={JWT}"), header = %header);
        span.in_scope(|| {
            tracing::info!(authorization = %header, refresh_token = JWT, "named fields");
            tracing::info!(?request, "a struct");
            tracing::info!("the message: {header}");
            tracing::info!(url = %format!("https://example.com/?access_token={JWT}&x=1"), "a query");
        });
        drop(guard);
        let text = lines.text();
        assert_eq!(text.lines().count(), 4);
        assert!(!text.contains(JWT) && !text.contains("eyJ"), "{text}");
        assert!(text.contains(redact::MARK), "{text}");
    }

    #[test]
    fn people_get_one_line_of_text() {
        let mut fields = Map::new();
        fields.insert("message".into(), "hello".into());
        fields.insert("status".into(), 200.into());
        fields.insert("path".into(), "/a\n/b".into());
        let text = human(fields, "INFO", "sequent_http");
        assert!(text.ends_with("  INFO sequent_http: hello path=/a\\n/b status=200\n"), "{text:?}");
    }
}
