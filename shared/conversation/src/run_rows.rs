//! Rows that are stored with a run because its message brought them, such as those of files.

use std::{fmt, sync::Arc};

use sequent_core::RunId;
use sequent_tables::Write;

/// Makes writes for the transaction that creates a run. They name the run, whose id is not known before. If a condition among
/// them does not hold, the run is not created.
#[derive(Clone)]
pub struct RunRows(Arc<dyn Fn(RunId) -> Result<Vec<Write>, sequent_tables::Error> + Send + Sync>);

impl RunRows {
    /// Makes the writes with `rows`.
    pub fn new(
        rows: impl Fn(RunId) -> Result<Vec<Write>, sequent_tables::Error> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(rows))
    }

    pub(crate) fn of(&self, run: RunId) -> Result<Vec<Write>, sequent_tables::Error> {
        (self.0)(run)
    }
}

impl fmt::Debug for RunRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunRows").finish_non_exhaustive()
    }
}
