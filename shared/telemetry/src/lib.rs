//! Structured logs: one JSON object per line, with everything secret taken out before it is written.
//!
//! The invariant: a log line passes through [`redact`] and through nothing else. Names decide first (a field or header
//! called `authorization` or `refresh_token` never shows its value), shapes second (a JWT or an API key inside any
//! text is cut out of it), so that a careless `error = ?error` cannot leak a credential either.

mod filter;
mod format;
mod line;
pub mod redact;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use filter::Filter;
pub use format::Format;
pub use line::Lines;

use tracing_subscriber::{Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Starts logging to standard output as the environment says and logs panics the same way. Later calls do nothing.
pub fn init() {
    let layer = Lines::new(Format::from_env(), write_stdout).with_filter(Filter::from_env());
    if tracing_subscriber::registry().with(layer).try_init().is_ok() {
        // The default hook prints the panic's message, which may quote input, as it is.
        std::panic::set_hook(Box::new(|panic| {
            let message = panic.payload_as_str().unwrap_or("a panic without a message");
            let location = panic.location().map(ToString::to_string);
            tracing::error!(panic = message, location, "panicked");
        }));
    }
}

/// One write per line, so that lines of several threads never mix.
fn write_stdout(line: &str) {
    use std::io::Write as _;
    // Nothing can be done about a closed standard output, least of all logged.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}
