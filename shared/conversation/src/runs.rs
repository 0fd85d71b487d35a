//! Reading the runs of a tenant.

use std::collections::BTreeSet;

use sequent_core::{ProjectId, RunId, TenantId, UserId};
use sequent_tables::{CursorKey, Key, Page, PageRequest, Store, key};

use crate::{Error, Project, Projects, Run};

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

    /// Reads the runs with these ids whose conversations are not being deleted, in no particular order.
    ///
    /// # Errors
    /// Fails if the table fails.
    pub async fn get_kept(self, ids: &[RunId]) -> Result<Vec<Run>, Error> {
        let mut runs = self.get_many(ids).await?;
        let kept = self.kept_projects(runs.iter()).await?;
        runs.retain(|run| kept.contains(&run.project_id));
        Ok(runs)
    }

    /// Returns the projects of the runs, without those that are being deleted.
    async fn kept_projects(self, runs: impl Iterator<Item = &Run>) -> Result<BTreeSet<ProjectId>, Error> {
        let projects: BTreeSet<ProjectId> = runs.map(|run| run.project_id).collect();
        let keys: Vec<Key> = projects.iter().map(|project| key::project(self.tenant, *project)).collect();
        let projects: Vec<Project> = self.store.get_many(&keys).await?;
        Ok(projects.iter().filter(|project| !project.deleting).map(|project| project.id).collect())
    }

    /// Reads one run for a caller. A run whose conversation is deleted counts as deleted, although its row exists until the
    /// job has come to it.
    ///
    /// # Errors
    /// [`Error::RunNotFound`], or when the table fails.
    pub async fn get_for_caller(self, id: RunId) -> Result<Run, Error> {
        let run = self.get(id).await?;
        match Projects::new(self.store, self.tenant).get(run.project_id).await {
            Ok(_) => Ok(run),
            Err(Error::ProjectNotFound) => Err(Error::RunNotFound),
            Err(error) => Err(error),
        }
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
        let page: Page<Run> = self.store.page(&request).await?;
        let runs = self.without_deleted_texts(page.items.clone()).await?;
        Ok(page.with_items(runs))
    }

    /// Removes the runs that quote a conversation which is being deleted: in their questions, or in their error.
    async fn without_deleted_texts(self, mut runs: Vec<Run>) -> Result<Vec<Run>, Error> {
        let has_text = |run: &Run| !run.interrupts.is_empty() || run.error.is_some();
        let kept = self.kept_projects(runs.iter().filter(|run| has_text(run))).await?;
        runs.retain(|run| !has_text(run) || kept.contains(&run.project_id));
        Ok(runs)
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
        let runs: Vec<Run> = self.store.get_many(&keys).await?;
        let mut runs = self.without_deleted_texts(runs).await?;
        runs.sort_by_key(|run| std::cmp::Reverse(run.id));
        Ok(page.with_items(runs))
    }
}
