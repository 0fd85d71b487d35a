//! Credentials that were looked up and do not exist.
//!
//! An API key and a refresh token have 256 random bits, so one that does not exist now never will, except the API key of an
//! account that is reinstated. A client that sends a revoked or invented one again and again costs a process one read a
//! minute.

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
