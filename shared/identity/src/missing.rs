//! Credentials that were looked up and do not exist.
//!
//! A process remembers such a credential for a minute, so a client that repeats a revoked or invented one costs one read
//! a minute. This is safe: API keys and refresh tokens have 256 random bits, so a missing one does not come into existence
//! later, except the API keys of an account that is reinstated.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The time for which a process remembers that a credential does not exist.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// The number of credentials that a process remembers. A flood of different ones replaces them all; limits by address
/// are for that.
const REMEMBERED: usize = 1024;

/// The digests of credentials that do not exist.
#[derive(Default)]
pub(crate) struct Missing(Mutex<HashMap<String, Instant>>);

impl Missing {
    pub(crate) fn contains(&self, digest: &str) -> bool {
        self.known().get(digest).is_some_and(|at| at.elapsed() < REMEMBERED_FOR)
    }

    pub(crate) fn insert(&self, digest: String) {
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(digest, Instant::now());
    }

    pub(crate) fn remove(&self, digest: &str) {
        self.known().remove(digest);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
