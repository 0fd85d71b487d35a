//! Cuts texts that are too long for an event or for a model.

use sequent_event::size::{encoded_bytes, encoded_prefix};

/// Returns `text` if it has at most `max_bytes` bytes and takes at most `max_encoded` bytes in an event, where a quotation
/// mark takes two bytes and a control character six. Otherwise returns its beginning with a note, which counts too. The note
/// calls the text `what`.
#[must_use]
pub fn cut(text: String, max_bytes: usize, max_encoded: usize, what: &str) -> String {
    let whole = text.len();
    if whole <= max_bytes && encoded_bytes(&text) <= max_encoded {
        return text;
    }
    let note = format!("\n\n[Cut: {what} has {whole} bytes; only the beginning is shown.]");
    // A limit that is too small for the note still holds.
    let has_room = note.len() <= max_bytes && encoded_bytes(&note) <= max_encoded;
    let note = if has_room { note.as_str() } else { "" };
    let beginning = &text[..text.floor_char_boundary(max_bytes - note.len())];
    let beginning = encoded_prefix(beginning, max_encoded - encoded_bytes(note));
    format!("{beginning}{note}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cut_respects_both_limits_and_characters(
            text in "([\\x00-\\x7f]|é|🦀){0,300}",
            max_bytes in 0_usize..400,
            max_encoded in 0_usize..800,
        ) {
            let short = cut(text.clone(), max_bytes, max_encoded, "the text");
            prop_assert!(short.len() <= max_bytes && encoded_bytes(&short) <= max_encoded);
            if text.len() <= max_bytes && encoded_bytes(&text) <= max_encoded {
                prop_assert_eq!(&short, &text);
            } else {
                let kept = short.split("\n\n[Cut: ").next().unwrap();
                prop_assert!(text.starts_with(kept));
            }
        }
    }
}
