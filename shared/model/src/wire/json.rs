//! Lenient reading of JSON: the documents of a frame, and values of fields whose type differs from server to server.

use serde_json::{Deserializer, Map, Value};

use super::{Frame, surrogates};
use crate::Error;

/// The object of a document.
pub(super) type Object = Map<String, Value>;

/// A document of a frame.
pub(super) enum Document {
    Json(Value),
    /// The marker `[DONE]`: nothing follows.
    Done,
}

/// The marker of the end of a stream, in the OpenAI protocol.
const DONE: &str = "[DONE]";

/// Gives each document of the frame to `take`.
///
/// # Errors
/// The error of `take`, or data that is not JSON.
pub(super) fn documents(
    frame: Frame<'_>,
    mut take: impl FnMut(Document) -> Result<(), Error>,
) -> Result<(), Error> {
    if frame.data == DONE {
        return take(Document::Done);
    }
    match serde_json::from_str(frame.data) {
        Ok(value) => take(Document::Json(value)),
        Err(_) => several(frame, take),
    }
}

/// As [`documents`], for a frame that is not one document: it has several, or none, or halves of characters.
fn several(frame: Frame<'_>, mut take: impl FnMut(Document) -> Result<(), Error>) -> Result<(), Error> {
    let mended = surrogates::mend(frame.data);
    let mut rest = mended.trim();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(DONE) {
            take(Document::Done)?;
            rest = after.trim_start();
            continue;
        }
        let mut values = Deserializer::from_str(rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => take(Document::Json(value))?,
            Some(Err(error)) if error.is_eof() && !frame.is_whole => return Err(Error::Truncated),
            _ => return Err(Error::InvalidAnswer("it is not JSON".into())),
        }
        rest = rest[values.byte_offset()..].trim_start();
    }
    Ok(())
}

/// Returns the text of a field. A number counts as its digits. Returns `None` for an empty text and any other value.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns a number that is not negative: an integer, a float without a fraction, or a text of digits.
pub(super) fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64().filter(|float| float.fract() == 0.0 && (0.0..1e15).contains(float));
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked in the line before"
            )]
            float.map(|float| float as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Returns the first of these fields that is a number.
pub(super) fn first_number(object: &Object, names: &[&str]) -> Option<u64> {
    names.iter().find_map(|name| number(object.get(*name)))
}

/// Returns the object of a field.
pub(super) fn object<'a>(object: &'a Object, name: &str) -> Option<&'a Object> {
    object.get(name).and_then(Value::as_object)
}

/// Returns the elements of a list. An object counts as a list with one element.
pub(super) fn elements(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::Array(list)) => list,
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => &[],
    }
}
