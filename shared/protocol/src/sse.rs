//! Server-sent events: the text of a frame, as WHATWG HTML section 9.2 defines it.
//!
//! The constructors make wrong frames impossible: a comment has no `id`, which would move the client's cursor past events that
//! it has not received. A frame without data that moves the cursor says so.

use std::{
    fmt::{Display, Write},
    time::Duration,
};

use serde::Serialize;

/// One encoded frame in UTF-8, the blank line at its end included. Lines end with a line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(String);

impl Frame {
    /// Creates a message: with `id` if it moves the cursor, with `event` if its type is not the default
    /// `message`.
    #[must_use]
    pub fn message(id: Option<&dyn Display>, event: Option<&str>, data: &str) -> Self {
        let mut text = String::with_capacity(data.len() + 64);
        if let Some(id) = id {
            field(&mut text, "id", &id.to_string());
        }
        if let Some(event) = event {
            field(&mut text, "event", event);
        }
        // All line ends of the format separate lines here. The client joins the lines with a line feed.
        for line in data.replace("\r\n", "\n").split(['\n', '\r']) {
            field(&mut text, "data", line);
        }
        text.push('\n');
        Self(text)
    }

    /// Creates a message with `value` as JSON.
    ///
    /// # Panics
    /// If `value` cannot be written as JSON: for example, a map with keys that are not strings.
    #[must_use]
    pub fn json(id: Option<&dyn Display>, event: Option<&str>, value: &impl Serialize) -> Self {
        let json = serde_json::to_string(value).expect("all types in frames can be written as JSON");
        Self::message(id, event, &escape_line_separators(json))
    }

    /// Creates a comment, which clients ignore: a heartbeat, or the reason why the stream ends without a
    /// terminal event.
    #[must_use]
    pub fn comment(text: &str) -> Self {
        let mut frame = String::with_capacity(text.len() + 4);
        for line in text.split(['\n', '\r']) {
            field(&mut frame, "", line);
        }
        frame.push('\n');
        Self(frame)
    }

    /// Creates a frame that moves the cursor past events which the client has not asked for. Without data, no event is dispatched,
    /// but the last event id is set (WHATWG HTML, section 9.2.6).
    #[must_use]
    pub fn cursor(id: &dyn Display) -> Self {
        let mut text = String::with_capacity(32);
        field(&mut text, "id", &id.to_string());
        text.push('\n');
        Self(text)
    }

    /// Creates a heartbeat, which keeps proxies from closing a silent stream.
    #[must_use]
    pub fn heartbeat() -> Self {
        Self::comment("heartbeat")
    }

    /// Creates the field that sets the time `EventSource` waits before it reconnects.
    #[must_use]
    pub fn retry(wait: Duration) -> Self {
        Self(format!("retry: {}\n\n", wait.as_millis()))
    }

    /// The text of the frame.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Frame> for String {
    fn from(frame: Frame) -> Self {
        frame.0
    }
}

/// Appends a field. Names of events come from stored logs: a line end in a name must not start another field,
/// and clients ignore an id that contains NUL.
fn field(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str(": ");
    text.extend(value.chars().filter(|c| !matches!(c, '\n' | '\r' | '\0')));
    text.push('\n');
}

/// Escapes line separators. The format ends lines only at CR and LF, but common clients also split at these.
/// JSON contains them only in strings, so escaping all of them is correct.
fn escape_line_separators(json: String) -> String {
    const SEPARATORS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];
    if !json.contains(SEPARATORS) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if SEPARATORS.contains(&c) {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_its_fields_in_order_and_ends_with_a_blank_line() {
        let frame = Frame::message(Some(&7), Some("RUN_STARTED"), "{}");
        assert_eq!(frame.as_str(), "id: 7\nevent: RUN_STARTED\ndata: {}\n\n");
        assert_eq!(Frame::message(None, None, "").as_str(), "data: \n\n");
    }

    #[test]
    fn every_kind_of_line_end_in_data_separates_lines() {
        let frame = Frame::message(None, None, "a\r\nb\rc\nd\n");
        assert_eq!(frame.as_str(), "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n");
    }

    #[test]
    fn a_name_cannot_inject_a_field() {
        let frame = Frame::message(Some(&"1\n2\0"), Some("X\r\ndata: forged"), "{}");
        assert_eq!(frame.as_str(), "id: 12\nevent: Xdata: forged\ndata: {}\n\n");
    }

    #[test]
    fn json_has_no_line_separator_of_any_kind() {
        let frame = Frame::json(None, None, &"a\r\n\u{85}\u{2028}\u{2029}é");
        assert_eq!(frame.as_str(), "data: \"a\\r\\n\\u0085\\u2028\\u2029é\"\n\n");
        let value: String = serde_json::from_str(&frame.as_str()[6..]).unwrap();
        assert_eq!(value, "a\r\n\u{85}\u{2028}\u{2029}é");
    }

    #[test]
    fn control_frames_carry_no_id() {
        let controls = [
            Frame::heartbeat(),
            Frame::comment("moved on\nid: 9"),
            Frame::retry(Duration::from_millis(1500)),
        ];
        let text: Vec<&str> = controls.iter().map(Frame::as_str).collect();
        assert_eq!(text, [": heartbeat\n\n", ": moved on\n: id: 9\n\n", "retry: 1500\n\n"]);
    }
}
