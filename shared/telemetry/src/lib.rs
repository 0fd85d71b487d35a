//! Structured logs: one JSON object per line, without secrets.
//!
//! The invariant: every log line passes through [`redact`]. First, it removes values by name: those of a field or header
//! called `authorization` or `refresh_token`. Second, it removes text by shape: a JWT or an API key in any text. A
//! careless `error = ?error` therefore does not leak a credential.

mod filter;
mod format;
mod line;
pub mod metric;
pub mod redact;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use filter::Filter;
pub use format::Format;
pub use line::Lines;

use tracing_subscriber::{Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Starts logging to standard output, with the settings in the environment, and logs panics, too. Later calls do
/// nothing.
pub fn init() {
    let layer = Lines::new(Format::from_env(), write_stdout).with_filter(Filter::from_env());
    if tracing_subscriber::registry().with(layer).try_init().is_ok() {
        // The default hook prints the message of the panic, which may quote input.
        std::panic::set_hook(Box::new(|panic| {
            let message = panic.payload_as_str().unwrap_or("a panic without a message");
            let location = panic.location().map(ToString::to_string);
            tracing::error!(panic = message, location, "panicked");
        }));
    }
}

/// Writes a line with one call, so that the lines of several threads never mix.
fn write_stdout(line: &str) {
    use std::io::Write as _;
    // A closed standard output cannot be reported anywhere.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}
