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

/// Counts the usage of an attempt.
///
/// A handler adds each call when its response has been read. The worker stores the sum at every renewal of the lease and
/// with the end of the attempt. An attempt that fails, panics, runs into its timeout or loses its process has cost as
/// much as one that succeeds.
#[derive(Debug, Clone, Default)]
pub struct UsageMeter(Arc<Mutex<Totals>>);

impl UsageMeter {
    /// Adds the usage of a call.
    pub fn add(&self, used: &Totals) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(used);
    }

    pub(crate) fn sum(&self) -> JobUsage {
        (*self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}
