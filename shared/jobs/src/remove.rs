//! Removing a job with the row that claims its key.

use sequent_core::{JobId, TenantId};
use sequent_tables::{Retry, Store, Transaction, Write, key};

use crate::{Error, Job};

/// Removes a job that has ended. Does nothing if it does not exist.
///
/// # Errors
/// Returns an error if the table fails.
pub async fn remove(store: &Store, tenant: TenantId, id: JobId) -> Result<(), Error> {
    let row = key::job(tenant, id);
    let Some(job) = store.get::<Job>(&row).await? else { return Ok(()) };
    let mut transaction = Transaction::new().write(Write::delete(&row));
    if let Some(text) = &job.job_key {
        transaction = transaction.write(Write::delete(&key::job_key(tenant, &job.job_type, text)));
    }
    Ok(store.commit(transaction, Retry::CONTENDED).await?)
}
