//! Reading and changing the projects of a tenant.

use std::collections::BTreeMap;

use sequent_core::{MessageId, ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_event::Lineage;
use sequent_tables::{
    Condition, CursorKey, Key, Label, Page, PageRequest, Retry, Row, Store, Transaction, Update, Write,
    attribute,
    attributes::{CLAIMED, DELETING, LIVE_RUN_ID},
    exists, key,
};

use crate::{
    Continues, Deletion, Error, Message, Project, ProjectName, TurnReference, branch::Branch, tree,
    turn::is_kept,
};

const PROJECT: Label = Label::new("project");

/// The projects of one tenant.
#[derive(Debug, Clone, Copy)]
pub struct Projects<'a> {
    pub(crate) store: &'a Store,
    pub(crate) tenant: TenantId,
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
        self.create_quoted(user, name, &[], now).await
    }

    /// As [`create`](Self::create). `quotes` are the keys of rows that quote the project, such as the response that is stored
    /// under an idempotency key. They are deleted with it.
    ///
    /// # Errors
    /// Fails if the table fails.
    pub async fn create_quoted(
        self,
        user: UserId,
        name: ProjectName,
        quotes: &[Key],
        now: Timestamp,
    ) -> Result<Project, Error> {
        let id = ProjectId::new();
        let project = Project {
            id,
            name,
            user_id: user,
            created_at: now,
            updated_at: now,
            live_run_id: None,
            head: None,
            next: Lineage::default(),
            branches: 0,
            approved_tools: BTreeMap::new(),
            deleting: false,
        };
        let row = Row::new(&key::project(self.tenant, id), &project)?;
        let row = row.set(CLAIMED, quotes).set("next", project.next);
        let row = row.set(Project::APPROVED_TOOLS, &project.approved_tools);
        self.store.insert(row).await?;
        Ok(project)
    }

    /// Reads one project. A project that is being deleted counts as deleted.
    ///
    /// # Errors
    /// [`Error::ProjectNotFound`], or when the table fails.
    pub async fn get(self, id: ProjectId) -> Result<Project, Error> {
        let project: Option<Project> = self.store.get(&key::project(self.tenant, id)).await?;
        project.filter(|project| !project.deleting).ok_or(Error::ProjectNotFound)
    }

    /// Reads a page of the projects, newest first. A page may have fewer items than `limit` before the end of the list:
    /// projects that are being deleted are left out.
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
        let mut page: Page<Project> = self.store.page(&request).await?;
        page.items.retain(|project| !project.deleting);
        Ok(page)
    }

    /// Renames a project.
    ///
    /// # Errors
    /// [`Error::ProjectNotFound`], or when the table fails.
    pub async fn rename(self, id: ProjectId, name: ProjectName, now: Timestamp) -> Result<Project, Error> {
        let update = Update::of(&key::project(self.tenant, id))
            .set("name", &name)
            .set("updated_at", now)
            .when(exists())
            .when(is_kept());
        self.store.update_if(update).await?.ok_or(Error::ProjectNotFound)
    }

    /// Renames the project, makes `head` its head, and revokes the approvals of tools, as far as they are given. A run that has
    /// begun goes on with the approvals that it was created with.
    ///
    /// # Errors
    /// [`Error::ProjectNotFound`], [`Error::UnknownTurn`] if the head is not a run of the conversation, or when the table fails.
    pub async fn change(
        self,
        id: ProjectId,
        name: Option<&ProjectName>,
        head: Option<RunId>,
        revoked: &[String],
        now: Timestamp,
    ) -> Result<Project, Error> {
        let mut update = match head {
            Some(head) => tree::head_update(self.store, self.tenant, &self.get(id).await?, head).await?,
            None => Update::of(&key::project(self.tenant, id)),
        };
        if let Some(name) = name {
            update = update.set("name", name);
        }
        let revoking = revoked
            .iter()
            .fold(update, |update, tool| update.remove([Project::APPROVED_TOOLS, tool.as_str()]));
        let update = revoking.set("updated_at", now).when(exists()).when(is_kept());
        self.store.update_if(update).await?.ok_or(Error::ProjectNotFound)
    }

    /// Finds the place of a run in the project, or in a new one, that continues the turn `after`, or the head.
    ///
    /// # Errors
    /// [`Error::UnknownTurn`], or when the table fails.
    pub async fn continues(
        self,
        id: Option<ProjectId>,
        after: Option<TurnReference>,
    ) -> Result<Continues, Error> {
        match (after, id) {
            (None, _) => Ok(Continues::Head),
            (Some(_), None) => Err(Error::UnknownTurn),
            (Some(TurnReference::Start), _) => Ok(Continues::Start),
            (Some(TurnReference::Run(run)), _) => Ok(Continues::Run(run)),
            (Some(TurnReference::Message(message)), Some(id)) => {
                let run = self.run_of_message(id, message).await?;
                run.map(Continues::Run).ok_or(Error::UnknownTurn)
            }
        }
    }

    /// Finds the run of a message.
    ///
    /// # Errors
    /// Fails if the table fails.
    pub async fn run_of_message(self, id: ProjectId, message: MessageId) -> Result<Option<RunId>, Error> {
        tree::run_of_message(self.store, self.tenant, id, message).await
    }

    /// Deletes a conversation: from now on it answers as if it did not exist. A job cancels its live runs and deletes what it
    /// left: [`Deletion`].
    ///
    /// # Errors
    /// [`Error::ProjectNotFound`], or when the table fails.
    pub async fn delete(self, id: ProjectId) -> Result<(), Error> {
        self.delete_when(id, exists()).await
    }

    /// As [`delete`](Self::delete), but leaves a conversation that has changed since it was read, or has a live run.
    ///
    /// # Errors
    /// [`Error::ProjectNotFound`] if it is left, or when the table fails.
    pub(crate) async fn delete_unchanged(self, project: &Project) -> Result<(), Error> {
        let is_unchanged = attribute("updated_at").equals(project.updated_at);
        self.delete_when(project.id, is_unchanged.and(attribute(LIVE_RUN_ID).is_none())).await
    }

    /// Marks the project and enqueues the job in one transaction: neither happens without the other.
    async fn delete_when(self, id: ProjectId, condition: Condition) -> Result<(), Error> {
        let mark = Update::of(&key::project(self.tenant, id)).set(DELETING, true);
        let mark = mark.when(condition).when(is_kept());
        let job = Deletion { project_id: id }.job(self.tenant);
        let rows = job.rows(Timestamp::now()).into_iter().map(Write::insert);
        let transaction = rows.fold(Transaction::new().write(mark).label(PROJECT), Transaction::write);
        match self.store.commit(transaction, Retry::CONTENDED).await {
            Ok(()) => Ok(()),
            Err(cancelled) if cancelled.refused(PROJECT) => Err(Error::ProjectNotFound),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Reads all messages of the branch that ends with the project's head, oldest first.
    ///
    /// # Errors
    /// [`Error::ProjectNotFound`], or when the table fails.
    pub async fn messages(self, id: ProjectId) -> Result<Vec<Message>, Error> {
        let project = self.get(id).await?;
        let branch = Branch::of_head(self.store, self.tenant, &project).await?;
        branch.latest(u32::MAX).await
    }

    /// Reads the latest `limit` messages of the branch that ends with the project's head, oldest of them first.
    ///
    /// # Errors
    /// [`Error::ProjectNotFound`], or when the table fails.
    pub async fn latest_messages(self, id: ProjectId, limit: u32) -> Result<Vec<Message>, Error> {
        let project = self.get(id).await?;
        let branch = Branch::of_head(self.store, self.tenant, &project).await?;
        branch.latest(limit).await
    }

    /// Reads the latest `limit` messages of the runs that a run with this lineage continues, oldest of them first.
    ///
    /// # Errors
    /// Fails if the table fails.
    pub async fn messages_before(
        self,
        id: ProjectId,
        lineage: Lineage,
        limit: u32,
    ) -> Result<Vec<Message>, Error> {
        let branch = Branch::before(self.store, self.tenant, id, lineage).await?;
        branch.latest(limit).await
    }

    /// Reads the messages of the first run, oldest first. If there are several, because the first message was edited, of the
    /// oldest one.
    ///
    /// # Errors
    /// Fails if the table fails.
    pub async fn first_turn(self, id: ProjectId) -> Result<Vec<Message>, Error> {
        let list = PageRequest::new(key::messages(self.tenant, id)).oldest_first();
        let page: Page<Message> = self.store.page(&list.limit(Some(10))).await?;
        let mut rows = page.items;
        let first = rows.first().map(|row| row.run_id);
        rows.retain(|row| Some(row.run_id) == first);
        Ok(rows)
    }
}
