//! Runs a call: bounded in time and size, and safe from panics.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use crate::{Call, Error, Output, Tool, ToolKind};

/// Calls `tool`. The [crate] documentation lists what holds for the result.
pub async fn run(tool: &Tool, call: Call<'_>) -> Result<Output, Error> {
    let ToolKind::Runs(handler) = &tool.kind else {
        return Err(Error::Refused(format!(
            "`{}` cannot run as a call: a person or a job answers it.",
            tool.spec.name
        )));
    };
    // The inner block also catches a handler that panics before it returns a future.
    let call = AssertUnwindSafe(async { handler.call(call).await }).catch_unwind();
    let result = match tokio::time::timeout(tool.timeout, call).await {
        Ok(Ok(result)) => result,
        // The panic hook has logged the message. The payload is dropped, because it may quote input.
        Ok(Err(_panic)) => Err(interrupted(tool, "failed unexpectedly".into())),
        Err(_elapsed) => Err(interrupted(tool, format!("did not finish within {:?}", tool.timeout))),
    };
    let limit = tool.max_result_bytes;
    match result {
        Ok(output) => Ok(Output { content: cut(output.content, limit), ..output }),
        Err(error) => Err(error.map_message(|message| cut(message, limit))),
    }
}

/// The error of a call that stopped in the middle.
fn interrupted(tool: &Tool, problem: String) -> Error {
    let name = &tool.spec.name;
    if tool.idempotent {
        Error::Unavailable(format!("`{name}` {problem}."))
    } else {
        Error::Unknown(format!("`{name}` {problem}. It may have had its effect."))
    }
}

/// Cuts a text to at most `limit` bytes, including the note about the cut.
fn cut(mut text: String, limit: usize) -> String {
    let whole = text.len();
    if whole <= limit {
        return text;
    }
    let note = format!("\n\n[Cut: the result has {whole} bytes; only the beginning is shown.]");
    // A limit that is too small for the note still holds.
    let note = if note.len() <= limit { note.as_str() } else { "" };
    text.truncate(text.floor_char_boundary(limit - note.len()));
    text.push_str(note);
    text
}

#[cfg(test)]
mod tests;
