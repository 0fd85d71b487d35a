//! Fits the parts of a very long run into a response.

use sequent_protocol::ui_message::{FoldedMessage, FoldedPart, Json};

use super::page::json_bytes;

/// Bytes that remain of a longer text, in the order in which they are tried.
const LIMITS: [usize; 4] = [16_000, 4_000, 1_000, 200];

/// Cuts long results, arguments and texts until the parts have at most `max_bytes` in JSON, as far as that is enough. Returns
/// `true` if anything was cut.
pub(super) fn shorten(message: &mut FoldedMessage, max_bytes: usize) -> bool {
    let mut is_shortened = false;
    for limit in LIMITS {
        if json_bytes(&message.parts) <= max_bytes {
            break;
        }
        for part in &mut message.parts {
            is_shortened |= shorten_part(part, limit);
        }
    }
    is_shortened
}

fn shorten_part(part: &mut FoldedPart, limit: usize) -> bool {
    match part {
        FoldedPart::Tool(call) => {
            let output = call.output.as_mut().is_some_and(|json| shorten_json(json, limit));
            let input = call.input.as_mut().is_some_and(|json| shorten_json(json, limit));
            output || input
        }
        FoldedPart::Text { text, .. } | FoldedPart::Reasoning { text, .. } if text.len() > limit => {
            *text = beginning(text, limit);
            true
        }
        _ => false,
    }
}

/// Replaces a long value by the beginning of its text.
fn shorten_json(json: &mut Json, limit: usize) -> bool {
    let is_long = json.as_str().len() > limit;
    if is_long {
        let text: String = serde_json::from_str(json.as_str()).unwrap_or_else(|_| json.as_str().to_owned());
        *json = Json::of_text(&beginning(&text, limit));
    }
    is_long
}

fn beginning(text: &str, limit: usize) -> String {
    // Room for what JSON escapes: a result that stays above the limit would be cut at every limit.
    let kept = &text[..text.floor_char_boundary(limit / 2)];
    format!("{kept}…")
}
