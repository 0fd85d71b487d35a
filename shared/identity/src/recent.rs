//! Rows that a process has read within the last seconds, so that a busy caller does not cost a read for each request.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The time for which a process trusts what it has read. A revoked credential works at most this much longer.
pub const TRUSTED: Duration = Duration::from_secs(5);
/// The number of rows that a process remembers.
const REMEMBERED: usize = 1024;

/// Values by key, each with the time at which it was read.
pub(crate) struct Recent<K, V>(Mutex<HashMap<K, (Instant, V)>>);

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Copy> Recent<K, V> {
    /// The value, if it was read within [`TRUSTED`].
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let known = self.known().get(key).copied();
        known.filter(|(read, _)| read.elapsed() < TRUSTED).map(|(_, value)| value)
    }

    /// The value, however old it is.
    pub(crate) fn latest(&self, key: &K) -> Option<V> {
        self.known().get(key).map(|(_, value)| *value)
    }

    /// Remembers a value that was read at this time.
    pub(crate) fn put(&self, key: K, read: Instant, value: V) {
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.retain(|_, (read, _)| read.elapsed() < TRUSTED);
        }
        if known.len() < REMEMBERED {
            known.insert(key, (read, value));
        }
    }

    pub(crate) fn forget(&self, key: &K) {
        self.known().remove(key);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<K, (Instant, V)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
