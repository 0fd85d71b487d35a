//! Idempotency records: they tie the effect of a request to the key that the caller gave it.
//!
//! A key belongs to a tenant and an operation. The first request claims it together with a hash of its payload. The
//! same key with the same payload leads to the first result again, with another payload to [`Outcome::Mismatch`], and
//! while the first request is still running to [`Outcome::InProgress`]. Records live 24 hours. A claim ends with the
//! invocation that made it, and completing or releasing it is conditional on still holding it, so an instance that
//! comes back late cannot overwrite what the retry did.
//!
//! Two ways to use it:
//!
//! * [`claim`] before the effect and [`Claim::complete`] after it store the whole response. If the instance dies
//!   between the two, the retry runs again once the claim is over: use it where running again is harmless.
//! * [`lookup`] and [`Record::for_run`] for an effect that is a transaction of its own: the record is one of the rows
//!   that the transaction inserts, so key and effect happen together or not at all.

mod claim;
mod record;

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::Key;

pub use claim::{Claim, Claimed, KeyTaken, Outcome, claim, lookup};
pub use record::{Effect, Record, Stored};

/// Lifetime of a record.
pub const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A request that carries an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The key of the record.
    pub record: Key,
    /// The hash of everything that makes two requests the same.
    pub payload: PayloadHash,
}

/// A SHA-256 hash over everything that makes two requests the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadHash(String);

impl PayloadHash {
    /// Hashes a method, a path with its query, and a body.
    #[must_use]
    pub fn of(method: &str, path: &str, body: &[u8]) -> Self {
        use std::fmt::Write as _;

        let mut sha = Sha256::new();
        for part in [method.as_bytes(), path.as_bytes(), body] {
            sha.update((part.len() as u64).to_be_bytes()); // so that no part can run into the next
            sha.update(part);
        }
        let digest = sha.finalize();
        Self(digest.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
            text
        }))
    }

    /// Returns the hash as lower-case hexadecimal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
