//! The denied requests of a stack. A function may tolerate a denial, so tests look here too.

use std::sync::{Arc, Mutex, PoisonError};

/// A list of denied requests. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Denials(Arc<Mutex<Vec<String>>>);

impl Denials {
    /// Returns one line for each denied request so far, in order.
    pub fn list(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Removes and returns the lines, for a test that expects them.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a request, and reports it where a developer sees it even if the functions' logs are silent.
    pub(super) fn add(&self, line: String) {
        use std::io::Write;
        let _ = writeln!(std::io::stderr().lock(), "iam: DENIED {line}");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}
