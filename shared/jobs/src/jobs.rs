//! Reading the jobs of a tenant.

use sequent_core::{JobId, TenantId};
use sequent_tables::{CursorKey, Page, PageRequest, Store, key};

use crate::{Error, Job};

/// The jobs of one tenant.
#[derive(Debug, Clone, Copy)]
pub struct Jobs<'a> {
    store: &'a Store,
    tenant: TenantId,
}

impl<'a> Jobs<'a> {
    /// The jobs of `tenant`, which comes from a verified credential.
    #[must_use]
    pub fn new(store: &'a Store, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    /// Reads one job.
    ///
    /// # Errors
    /// [`Error::NotFound`], or an error of the table.
    pub async fn get(self, id: JobId) -> Result<Job, Error> {
        self.store.get(&key::job(self.tenant, id)).await?.ok_or(Error::NotFound)
    }

    /// Reads a page of the tenant's jobs, newest first.
    ///
    /// # Errors
    /// [`Error::Cursor`], or an error of the table.
    pub async fn list(
        self,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Job>, Error> {
        let request = PageRequest::new(key::jobs(self.tenant)).limit(limit).cursor(cursors, cursor)?;
        Ok(self.store.page(&request).await?)
    }
}
