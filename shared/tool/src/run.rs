//! Runs a call: bounded in time and size, and safe from panics.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use sequent_event::size::MAX_TEXT_BYTES;

use crate::{Call, Error, Output, Tool, ToolKind, cut};

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
    let fit = |text| cut(text, tool.max_result_bytes, MAX_TEXT_BYTES, "the result");
    match result {
        Ok(output) => Ok(Output { content: fit(output.content), ..output }),
        Err(error) => Err(error.map_message(fit)),
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

#[cfg(test)]
mod tests;
