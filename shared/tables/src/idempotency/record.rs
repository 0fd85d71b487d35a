//! The row that is stored under an idempotency key.

use sequent_core::{ProjectId, RunId, Timestamp, pace::scaled};
use serde::{Deserialize, Serialize};

use super::{LIFETIME, PayloadHash, Request};
use crate::{Condition, Error, Key, Row, Write, absent, attribute};

/// An idempotency record as the table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The hash of the payload that the key was first used with.
    payload: String,
    /// End of the record's life in milliseconds. The table's TTL deletes it some time later.
    until: i64,
    effect: Effect,
}

/// The effect of the first request with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The request is being processed.
    Pending {
        /// The claim that holds the key.
        owner: String,
        /// The end of the invocation that holds it, in milliseconds.
        deadline: i64,
    },
    /// The request was answered with this response.
    Response(Stored),
    /// The request started this run; a retry attaches to it.
    #[expect(missing_docs, reason = "plain data")]
    Run { run: RunId, project: ProjectId },
}

/// The stored part of a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// HTTP status of the stored response.
    pub status: u16,
    /// The headers worth repeating; never cookies.
    pub headers: Vec<(String, String)>,
    /// The body. `None` if it was too large or not text.
    pub body: Option<String>,
}

/// Requires that no record counts: there is none, it is too old, or it is pending after its invocation's end.
pub(super) fn is_free(now: Timestamp) -> Condition {
    let deadline = attribute(["effect", "pending", "deadline"]);
    absent().or(attribute("until").is_at_most(now.millis())).or(deadline.is_at_most(now.millis()))
}

impl Record {
    pub(super) fn new(payload: &PayloadHash, effect: Effect, now: Timestamp) -> Self {
        Self { payload: payload.as_str().to_owned(), until: (now + scaled(LIFETIME)).millis(), effect }
    }

    /// Builds the write that ties a key to the run that its request starts, for the transaction that starts the run. If
    /// its condition fails, [`lookup`](super::lookup) finds the effect of the request that was first. A record that no
    /// longer counts is replaced: the table's TTL deletes it late.
    ///
    /// # Errors
    /// Fails if the row cannot be encoded.
    pub fn for_run(
        request: &Request,
        run: RunId,
        project: ProjectId,
        now: Timestamp,
    ) -> Result<Write, Error> {
        let row = Self::new(&request.payload, Effect::Run { run, project }, now).row(&request.record)?;
        Ok(Write::put(row).when(is_free(now)))
    }

    /// Returns the effect of the first request with the key.
    #[must_use]
    pub fn effect(&self) -> &Effect {
        &self.effect
    }

    pub(super) fn is_for(&self, payload: &PayloadHash) -> bool {
        self.payload == payload.as_str()
    }

    /// Returns `true` if the record no longer counts, as [`is_free`] tests it in the table.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let abandoned = matches!(self.effect, Effect::Pending { deadline, .. } if deadline <= now.millis());
        abandoned || self.until <= now.millis()
    }

    pub(super) fn row(&self, key: &Key) -> Result<Row, Error> {
        Ok(Row::new(key, self)?.expires_at(Timestamp::from_millis(self.until)))
    }
}
