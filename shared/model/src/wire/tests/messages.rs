//! Messages of AWS's event stream, written as lines of text.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};

/// Encodes lines such as `event messageStop {"stopReason":"end_turn"}`. The first word is the type of the message.
pub(crate) fn messages(text: &str) -> Vec<u8> {
    text.lines().filter(|line| !line.is_empty()).flat_map(message).collect()
}

fn message(line: &str) -> Vec<u8> {
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (name, payload) = rest.split_once(' ').unwrap_or((rest, ""));
    let header =
        |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
    let message = match kind {
        "error" => Message::new(Vec::new())
            .add_header(header(":error-code", name))
            .add_header(header(":error-message", payload)),
        "exception" => Message::new(payload.as_bytes().to_vec()).add_header(header(":exception-type", name)),
        _ => Message::new(payload.as_bytes().to_vec()).add_header(header(":event-type", name)),
    };
    let message = message
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", kind));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).expect("short headers");
    bytes
}
