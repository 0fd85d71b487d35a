//! Reading the runs of a tenant.

use sequent_core::{RunId, TenantId, UserId};
use sequent_tables::{CursorKey, Key, Page, PageRequest, Store, key};

use crate::{Error, Run};

/// The runs of one tenant.
#[derive(Debug, Clone, Copy)]
pub struct Runs<'a> {
    store: &'a Store,
    tenant: TenantId,
}

impl<'a> Runs<'a> {
    /// The runs of `tenant`, which comes from a verified credential.
    #[must_use]
    pub fn new(store: &'a Store, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    /// Reads one run.
    ///
    /// # Errors
    /// [`Error::RunNotFound`], or when the table fails.
    pub async fn get(self, id: RunId) -> Result<Run, Error> {
        self.store.get(&key::run(self.tenant, id)).await?.ok_or(Error::RunNotFound)
    }

    /// Reads the runs with these ids, in no particular order. Missing ones are left out.
    ///
    /// # Errors
    /// Fails if the table fails.
    pub async fn get_many(self, ids: &[RunId]) -> Result<Vec<Run>, Error> {
        let keys: Vec<_> = ids.iter().map(|id| key::run(self.tenant, *id)).collect();
        Ok(self.store.get_many(&keys).await?)
    }

    /// Reads a page of the tenant's runs, newest first.
    ///
    /// # Errors
    /// [`Error::Cursor`], or when the table fails.
    pub async fn list(
        self,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Run>, Error> {
        let request = PageRequest::new(key::runs(self.tenant)).limit(limit).cursor(cursors, cursor)?;
        Ok(self.store.page(&request).await?)
    }

    /// Reads a page of one user's runs, newest first.
    ///
    /// # Errors
    /// [`Error::Cursor`], or when the table fails.
    pub async fn list_of_user(
        self,
        user: UserId,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Run>, Error> {
        let request = PageRequest::new(key::runs_of_user(self.tenant, user)).limit(limit);
        let page = self.store.page_items(&request.cursor(cursors, cursor)?).await?;
        // The index holds keys only, so that changes of a run's row cost no second write.
        let keys: Vec<_> = page.items.iter().filter_map(Key::of_item).collect();
        let mut runs: Vec<Run> = self.store.get_many(&keys).await?;
        runs.sort_by_key(|run| std::cmp::Reverse(run.id));
        Ok(page.with_items(runs))
    }
}
