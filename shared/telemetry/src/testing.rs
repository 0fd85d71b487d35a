//! The log lines of a test.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{Layer as _, layer::SubscriberExt as _};

use crate::{Filter, Format, Lines};

/// The JSON lines that were logged.
#[derive(Debug, Clone, Default)]
pub struct Captured(Arc<Mutex<String>>);

impl Captured {
    /// The text of all lines.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The parsed lines.
    ///
    /// # Panics
    /// If a line is not JSON.
    #[must_use]
    pub fn lines(&self) -> Vec<serde_json::Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }
}

/// Collects the lines of this thread, at every level, until the guard is dropped.
#[must_use]
pub fn capture() -> (DefaultGuard, Captured) {
    capture_at("trace")
}

/// Collects the lines of this thread with the filter `RUST_LOG=levels`.
#[must_use]
pub fn capture_at(levels: &str) -> (DefaultGuard, Captured) {
    let captured = Captured::default();
    let sink = captured.clone();
    let lines = Lines::new(Format::Json, move |line: &str| {
        sink.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(line);
    });
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(Filter::parse(levels)));
    (tracing::subscriber::set_default(subscriber), captured)
}
