//! What is stored under an idempotency key.

use sequent_core::{ProjectId, RunId, Timestamp};
use sequent_tables::{Key, Row};
use serde::{Deserialize, Serialize};

use super::{LIFETIME, PayloadHash};
use crate::Problem;

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Hash of the payload the key was first used with.
    payload: String,
    /// When the record stops to count, in milliseconds. The table's TTL deletes it some time later.
    until: i64,
    /// What became of the request.
    effect: Effect,
}

/// What became of the first request with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nobody knows yet: an invocation works on it.
    Pending {
        /// The claim that holds it.
        owner: String,
        /// When that invocation is certainly over, in milliseconds.
        deadline: i64,
    },
    /// It was answered with this.
    Response(Stored),
    /// It started this run; a retry attaches to it.
    Run {
        /// The run.
        run: RunId,
        /// Its project.
        project: ProjectId,
    },
}

/// An answer, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Status code.
    pub status: u16,
    /// The headers worth repeating; never cookies.
    pub headers: Vec<(String, String)>,
    /// The body, unless it was too large or not text.
    pub body: Option<String>,
}

impl Record {
    pub(super) fn new(payload: &PayloadHash, effect: Effect, now: Timestamp) -> Self {
        Self { payload: payload.as_str().to_owned(), until: (now + LIFETIME).millis(), effect }
    }

    /// The row that ties a key to the run it starts. Insert it in the transaction that starts the run; when its
    /// condition fails, [`lookup`](super::lookup) tells what the key led to.
    ///
    /// # Errors
    /// When the row cannot be encoded.
    pub fn for_run(
        key: &Key,
        payload: &PayloadHash,
        run: RunId,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<Row, Problem> {
        Self::new(payload, Effect::Run { run, project }, now).row(key)
    }

    /// What became of the request.
    #[must_use]
    pub fn effect(&self) -> &Effect {
        &self.effect
    }

    pub(super) fn is_for(&self, payload: &PayloadHash) -> bool {
        self.payload == payload.as_str()
    }

    /// Whether the record no longer counts: too old, or pending after its invocation's end.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let abandoned = matches!(self.effect, Effect::Pending { deadline, .. } if deadline <= now.millis());
        abandoned || self.until <= now.millis()
    }

    pub(super) fn row(&self, key: &Key) -> Result<Row, Problem> {
        Ok(Row::new(key, self)?.expires_at(Timestamp::from_millis(self.until)))
    }
}
