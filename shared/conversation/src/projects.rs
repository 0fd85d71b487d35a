//! Reading and changing the projects of a tenant.

use sequent_core::{ProjectId, TenantId, Timestamp, UserId};
use sequent_tables::{
    CursorKey, Key, Label, Page, PageRequest, Retry, Row, Store, Transaction, Update, Write, attribute,
    exists, key,
};

use crate::{Error, Message, Project, ProjectName};

const PROJECT: Label = Label::new("project");

/// The projects of one tenant.
#[derive(Debug, Clone, Copy)]
pub struct Projects<'a> {
    store: &'a Store,
    tenant: TenantId,
}

impl<'a> Projects<'a> {
    /// The projects of `tenant`, which comes from a verified credential.
    #[must_use]
    pub fn new(store: &'a Store, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    /// Creates an empty project.
    ///
    /// # Errors
    /// Fails if the table fails.
    pub async fn create(self, user: UserId, name: ProjectName, now: Timestamp) -> Result<Project, Error> {
        let id = ProjectId::new();
        let project = Project {
            id,
            name,
            user_id: user,
            created_at: now,
            updated_at: now,
            live_run_id: None,
            deleting: false,
        };
        self.store.insert(Row::new(&key::project(self.tenant, id), &project)?).await?;
        Ok(project)
    }

    /// Reads one project.
    ///
    /// # Errors
    /// [`Error::ProjectNotFound`], or when the table fails.
    pub async fn get(self, id: ProjectId) -> Result<Project, Error> {
        self.store.get(&key::project(self.tenant, id)).await?.ok_or(Error::ProjectNotFound)
    }

    /// Reads a page of the projects, newest first.
    ///
    /// # Errors
    /// [`Error::Cursor`], or when the table fails.
    pub async fn list(
        self,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Project>, Error> {
        let request = PageRequest::new(key::projects(self.tenant)).limit(limit).cursor(cursors, cursor)?;
        Ok(self.store.page(&request).await?)
    }

    /// Renames a project.
    ///
    /// # Errors
    /// [`Error::ProjectNotFound`], or when the table fails.
    pub async fn rename(self, id: ProjectId, name: ProjectName, now: Timestamp) -> Result<Project, Error> {
        let update = Update::of(&key::project(self.tenant, id))
            .set("name", &name)
            .set("updated_at", now)
            .when(exists());
        self.store.update_if(update).await?.ok_or(Error::ProjectNotFound)
    }

    /// Deletes a project and its messages. The logs and rows of its runs stay: they are the tenant's record of the work
    /// and its cost.
    ///
    /// # Errors
    /// [`Error::Busy`] while a run has the turn in the project, [`Error::ProjectNotFound`], or when the table fails.
    pub async fn delete(self, id: ProjectId) -> Result<(), Error> {
        self.begin_deletion(id).await?;
        loop {
            let messages = key::messages(self.tenant, id);
            let request = PageRequest::new(messages).limit(Some(PageRequest::MAX_LIMIT));
            let page = self.store.page_items(&request).await?;
            if page.items.is_empty() {
                break;
            }
            let keys = page.items.iter().filter_map(Key::of_item);
            let deletion = keys.fold(Transaction::new(), |deletion, key| deletion.write(Write::delete(&key)));
            self.store.commit(deletion, Retry::BRIEF).await?;
        }
        Ok(self.store.delete(&key::project(self.tenant, id)).await?)
    }

    /// Marks the project as being deleted, so that no run can claim its turn while the messages are deleted.
    async fn begin_deletion(self, id: ProjectId) -> Result<(), Error> {
        let key = key::project(self.tenant, id);
        // A project whose deletion was cut short may be deleted again.
        let is_idle = exists().and(attribute("live_run_id").is_none());
        let update = Update::of(&key).set("deleting", true).when(is_idle);
        let marked = self.store.commit(Transaction::new().write(update).label(PROJECT), Retry::BRIEF).await;
        match marked {
            Ok(()) => Ok(()),
            Err(cancelled) if cancelled.refused(PROJECT) => {
                let live = cancelled.found::<Project>(PROJECT).and_then(|project| project.live_run_id);
                Err(live.map_or(Error::ProjectNotFound, Error::Busy))
            }
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Reads a page of a project's messages, oldest first.
    ///
    /// # Errors
    /// [`Error::ProjectNotFound`], [`Error::Cursor`], or when the table fails.
    pub async fn messages(
        self,
        id: ProjectId,
        cursors: &CursorKey,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Page<Message>, Error> {
        self.get(id).await?;
        let request = PageRequest::new(key::messages(self.tenant, id)).oldest_first().limit(limit);
        Ok(self.store.page(&request.cursor(cursors, cursor)?).await?)
    }

    /// Reads the first `limit` messages, oldest first.
    ///
    /// # Errors
    /// Fails if the table fails.
    pub async fn first_messages(self, id: ProjectId, limit: u32) -> Result<Vec<Message>, Error> {
        let request = PageRequest::new(key::messages(self.tenant, id)).oldest_first().limit(Some(limit));
        Ok(self.store.page(&request).await?.items)
    }

    /// Reads the latest `limit` messages, oldest of them first.
    ///
    /// # Errors
    /// Fails if the table fails.
    pub async fn latest_messages(self, id: ProjectId, limit: u32) -> Result<Vec<Message>, Error> {
        let request = PageRequest::new(key::messages(self.tenant, id)).limit(Some(limit));
        let mut page: Page<Message> = self.store.page(&request).await?;
        page.items.reverse();
        Ok(page.items)
    }
}
