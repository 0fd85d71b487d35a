//! Making a call: bounded in time and size, and safe from what the tool does.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use crate::{Call, Error, Kind, Output, Tool};

/// Calls `tool`. See the [crate] for what holds of the result.
pub async fn run(tool: &Tool, call: Call<'_>) -> Result<Output, Error> {
    let Kind::Runs(handler) = &tool.kind else {
        return Err(Error::Refused(format!(
            "`{}` is answered by a person, it does not run.",
            tool.spec.name
        )));
    };
    // The inner block also covers a handler that panics before it has a future to give.
    let call = AssertUnwindSafe(async { handler.call(call).await }).catch_unwind();
    let result = match tokio::time::timeout(tool.timeout, call).await {
        Ok(Ok(result)) => result,
        // The panic hook has logged the message; the payload may quote input.
        Ok(Err(_panic)) => Err(interrupted(tool, "failed unexpectedly".into())),
        Err(_elapsed) => Err(interrupted(tool, format!("did not finish within {:?}", tool.timeout))),
    };
    let limit = tool.max_result_bytes;
    match result {
        Ok(output) => Ok(Output { content: cut(output.content, limit), ..output }),
        Err(error) => Err(error.map_message(|message| cut(message, limit))),
    }
}

/// A call that stopped somewhere in the middle.
fn interrupted(tool: &Tool, what: String) -> Error {
    let name = &tool.spec.name;
    if tool.idempotent {
        Error::Unavailable(format!("`{name}` {what}."))
    } else {
        Error::Unknown(format!("`{name}` {what}; it may have had its effect."))
    }
}

/// At most `limit` bytes, the note about the cut included.
fn cut(mut text: String, limit: usize) -> String {
    let whole = text.len();
    if whole <= limit {
        return text;
    }
    let note = format!("\n\n[Cut: the result has {whole} bytes, of which only the beginning is shown.]");
    // A limit too small for the note is kept all the same.
    let note = if note.len() <= limit { note.as_str() } else { "" };
    text.truncate(text.floor_char_boundary(limit - note.len()));
    text.push_str(note);
    text
}

#[cfg(test)]
mod tests;
