//! Reading the jobs of a tenant.

use sequent_core::{JobId, TenantId};
use sequent_tables::{CursorKey, Page, PageRequest, Store, key};

use crate::{Error, Job};

/// Pages that are read for one page of the jobs that serve a tenant.
const MOST_PAGES: u32 = 10;

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

    /// Reads a page of the tenant's jobs that serve the tenant, newest first. If very many others lie between, the page has fewer
    /// than `limit`, and a cursor.
    ///
    /// # Errors
    /// [`Error::Cursor`], or an error of the table.
    pub async fn list_of_tenant(
        self,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Job>, Error> {
        let limit = limit.unwrap_or(PageRequest::DEFAULT_LIMIT).clamp(1, PageRequest::MAX_LIMIT);
        let mut request =
            PageRequest::new(key::jobs(self.tenant)).limit(Some(limit)).cursor(cursors, cursor)?;
        let wanted = limit as usize;
        let mut own: Vec<Job> = Vec::new();
        let mut pages = 0;
        loop {
            let page: Page<Job> = self.store.page(&request).await?;
            pages += 1;
            own.extend(page.items.iter().filter(|job| !job.internal).cloned());
            match page.last_key() {
                Some(last) if own.len() < wanted && pages < MOST_PAGES => {
                    request = request.after(last).limit(Some(PageRequest::MAX_LIMIT));
                }
                _ => return Ok(self.cut(page, own, wanted)),
            }
        }
    }

    /// Ends the page after the jobs that are wanted.
    fn cut(self, page: Page<Job>, mut jobs: Vec<Job>, wanted: usize) -> Page<Job> {
        let is_longer = jobs.len() > wanted;
        jobs.truncate(wanted);
        match jobs.last().filter(|_| is_longer).map(|last| key::job(self.tenant, last.id)) {
            Some(last) => page.with_items(jobs).ending_with(&last),
            None => page.with_items(jobs),
        }
    }

    /// Reads a page of all jobs of the tenant, newest first, for the operator.
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
