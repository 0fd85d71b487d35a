//! A step of a job's row that recognises its own earlier try.

use sequent_core::{TenantId, Timestamp};
use sequent_tables::{Error as DataError, Store, attribute_of};

use crate::{Error, Job};

/// The attribute with the random id of the latest step.
const STEP_ID: &str = "step_id";

/// A change of a job's row from one state to another, by one process.
///
/// A write whose answer was lost is repeated. Its condition then finds the row that the first try left, so the write seems
/// to have lost against another process: a claim would leave the job `running` without a worker. The id, which only this
/// step has, tells the two apart.
#[derive(Debug)]
pub(crate) struct JobStep<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) before: &'a Job,
    pub(crate) after: &'a Job,
    pub(crate) at: Timestamp,
    id: u128,
}

impl<'a> JobStep<'a> {
    pub(crate) fn new(tenant: TenantId, before: &'a Job, after: &'a Job, at: Timestamp) -> Self {
        Self { tenant, before, after, at, id: fastrand::u128(..) }
    }

    /// Takes the step. Returns `false` if the job has taken another step meanwhile. After an error the same step may be
    /// tried again: the table recognises a write that it repeats itself, and the id one that the caller repeats.
    pub(crate) async fn take(&self, store: &Store) -> Result<bool, Error> {
        let id = format!("{:032x}", self.id);
        let update = self.before.update_to(self.tenant, self.after, self.at).set(STEP_ID, &id);
        match store.write(update).await {
            Ok(()) => Ok(true),
            Err(DataError::Conflict(found)) => {
                Ok(found.and_then(|row| attribute_of::<String>(&row, STEP_ID)) == Some(id))
            }
            Err(error) => Err(error.into()),
        }
    }
}
