//! The usage of a job's model calls: counted while an attempt runs, and stored with whatever end the attempt has.

use std::sync::{Arc, Mutex, PoisonError};

use sequent_core::MicroUsd;
use sequent_event::Totals;
use serde::{Deserialize, Serialize};

/// The usage of the model calls of a job, those of failed attempts included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct JobUsage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cost_micro_usd: MicroUsd,
    /// A model was not in the price table, so the cost is a lower bound.
    pub incomplete: bool,
}

impl JobUsage {
    /// Returns `true` if nothing was used.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// This usage and that of further calls.
    pub(crate) fn and(self, further: Self) -> Self {
        let mut sum = Totals::from(self);
        sum.add(&further.into());
        sum.into()
    }
}

impl From<Totals> for JobUsage {
    fn from(totals: Totals) -> Self {
        let Totals { input_tokens, output_tokens, cost_micro_usd, incomplete } = totals;
        Self { input_tokens, output_tokens, cost_micro_usd, incomplete }
    }
}

impl From<JobUsage> for Totals {
    fn from(usage: JobUsage) -> Self {
        let JobUsage { input_tokens, output_tokens, cost_micro_usd, incomplete } = usage;
        Self { input_tokens, output_tokens, cost_micro_usd, incomplete }
    }
}

/// Counts the usage of an attempt, in addition to that of earlier attempts.
///
/// A handler adds each call when its response has been read. The worker stores the sum at every renewal of the lease and
/// with the end of the attempt. An attempt that fails, panics, runs into its timeout or loses its process has cost as
/// much as one that succeeds.
#[derive(Debug, Clone, Default)]
pub struct UsageMeter {
    earlier: JobUsage,
    attempt: Arc<Mutex<Totals>>,
}

impl UsageMeter {
    /// A meter for the next attempt at a job that has used this.
    pub(crate) fn after(earlier: JobUsage) -> Self {
        Self { earlier, attempt: Arc::default() }
    }

    /// Adds the usage of a call.
    pub fn add(&self, used: &Totals) {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner).add(used);
    }

    /// The usage of the job so far, that of earlier attempts included.
    #[must_use]
    pub fn total(&self) -> JobUsage {
        let attempt = *self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        self.earlier.and(attempt.into())
    }
}
