//! Forking a conversation: a new project that begins with a branch of another one.
//!
//! The fork has copies of the message rows, and shares the runs with the conversation that it comes from: their logs, their
//! artifacts and their rows exist once. A row for each run that is shared names the fork. When the conversation that a run
//! belongs to is deleted, the run is handed over to a conversation that shares it.

use std::collections::BTreeSet;

use sequent_core::{ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_event::Lineage;
use sequent_tables::{
    Item, Key, Label, PageRequest, Retry, Row, Store, Transaction, Update, Write, attribute,
    attributes::CLAIMED, exists, key,
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Project, ProjectName, Projects, Run, TurnReference,
    branch::{Branch, Siblings},
    tree::{self, located},
    turn::is_kept,
};

/// Messages that one transaction copies: they have 300 KB at most, and the transaction 4 MB.
const MESSAGES_AT_ONCE: u32 = 10;

const SOURCE: Label = Label::new("source");
const HEIR: Label = Label::new("heir");

/// A conversation to fork.
#[derive(Debug, Clone)]
pub struct NewFork<'a> {
    /// The conversation that the fork begins with.
    pub project: ProjectId,
    /// The last turn of the fork.
    pub from: TurnReference,
    /// The user who has the fork made.
    pub user: UserId,
    /// The name of the fork. That of the conversation if absent.
    pub name: Option<ProjectName>,
    /// The keys of rows that quote the fork. They are deleted with it.
    pub quotes: &'a [Key],
}

/// A conversation that shares a run.
#[derive(Debug, Serialize, Deserialize)]
struct Sharer {
    project_id: ProjectId,
}

impl Projects<'_> {
    /// Makes a conversation that begins with the branch of another one up to a turn.
    ///
    /// # Errors
    /// [`Error::ProjectNotFound`], [`Error::UnknownTurn`], [`Error::Busy`] if a run of the branch has not ended, or when the
    /// table fails.
    pub async fn fork(self, new: &NewFork<'_>, now: Timestamp) -> Result<Project, Error> {
        let source = self.get(new.project).await?;
        let run = match new.from {
            TurnReference::Start => None,
            TurnReference::Run(run) => Some(run),
            TurnReference::Message(message) => self.run_of_message(source.id, message).await?,
        };
        let run = run.ok_or(Error::UnknownTurn)?;
        let lineage = located(self.store, self.tenant, &source, run).await?;
        let branch = Branch::before(self.store, self.tenant, source.id, lineage.next(run)).await?;
        let fork = self.create_empty_fork(new, &source, now).await?;
        let copying = Copying { store: self.store, tenant: self.tenant, source: source.id, fork: fork.id };
        if let Err(error) = copying.copy(&branch).await {
            self.delete(fork.id).await?;
            return Err(error);
        }
        let update = Update::of(&key::project(self.tenant, fork.id)).when(exists()).when(is_kept());
        let update = tree::set_head(update, lineage.next(run));
        self.store.update_if(update).await?.ok_or(Error::ProjectNotFound)
    }

    /// Creates the project of a fork. It has no messages yet, and a run that is created in it now begins another branch.
    async fn create_empty_fork(
        self,
        new: &NewFork<'_>,
        source: &Project,
        now: Timestamp,
    ) -> Result<Project, Error> {
        let fork = Project {
            id: ProjectId::new(),
            name: new.name.clone().unwrap_or_else(|| source.name.clone()),
            user_id: new.user,
            created_at: now,
            updated_at: now,
            live_run_id: None,
            head: None,
            next: Lineage::default().forking(),
            deleting: false,
        };
        let row = Row::new(&key::project(self.tenant, fork.id), &fork)?;
        self.store.insert(row.set(CLAIMED, new.quotes).set("next", fork.next)).await?;
        Ok(fork)
    }
}

/// The copying of a branch into a fork.
struct Copying<'a> {
    store: &'a Store,
    tenant: TenantId,
    source: ProjectId,
    fork: ProjectId,
}

impl Copying<'_> {
    async fn copy(&self, branch: &Branch<'_>) -> Result<(), Error> {
        let list = PageRequest::new(key::messages(self.tenant, self.source)).limit(Some(MESSAGES_AT_ONCE));
        let mut request = Some(list.clone());
        while let Some(at) = request {
            let page = branch.rows(at, Some(MESSAGES_AT_ONCE), &mut Siblings::default()).await?;
            self.store_rows(&page.items).await?;
            request = page.last_key().map(|last| list.clone().after(last));
        }
        Ok(())
    }

    async fn store_rows(&self, rows: &[Item]) -> Result<(), Error> {
        let is_source_kept = Write::require(&key::project(self.tenant, self.source)).when(is_kept());
        let mut transaction = Transaction::new().write(is_source_kept).label(SOURCE);
        let mut runs: BTreeSet<RunId> = BTreeSet::new();
        for row in rows {
            let Some((depth, run, ordinal)) = Key::of_item(row).and_then(|key| key::parse_message(&key))
            else {
                continue;
            };
            runs.insert(run);
            let place = key::message(self.tenant, self.fork, depth, run, ordinal);
            transaction =
                transaction.write(Write::put(Row::moved(row.clone(), &place).set("project_id", self.fork)));
        }
        for run in runs {
            self.require_ended(run).await?;
            let share =
                Row::new(&key::shared_run(self.tenant, run, self.fork), &Sharer { project_id: self.fork })?;
            transaction = transaction.write(Write::put(share));
        }
        match self.store.commit(transaction, Retry::CONTENDED).await {
            Err(cancelled) if cancelled.refused(SOURCE) => Err(Error::ProjectNotFound),
            committed => Ok(committed?),
        }
    }

    /// Checks that the run has ended: another message would be added to its own conversation alone.
    async fn require_ended(&self, run: RunId) -> Result<(), Error> {
        let row: Option<Run> = self.store.get(&key::run(self.tenant, run)).await?;
        if row.is_some_and(|run| run.has_ended()) { Ok(()) } else { Err(Error::Busy(run)) }
    }
}

/// Takes a run out of a project that is being deleted. Hands it over to a conversation that shares it. Returns `true` if there
/// is none, so that the run has to be deleted.
///
/// # Errors
/// Fails if the table fails.
pub async fn leave_shared_run(
    store: &Store,
    tenant: TenantId,
    project: ProjectId,
    run: RunId,
) -> Result<bool, Error> {
    let row = key::run(tenant, run);
    let stored: Option<Run> = store.get(&row).await?;
    // Without its row, the run is half deleted already.
    if stored.is_some_and(|run| run.project_id != project) {
        store.delete(&key::shared_run(tenant, run, project)).await?;
        return Ok(false);
    }
    let list = PageRequest::new(key::sharers(tenant, run)).limit(Some(1));
    while let Some(heir) = store.page::<Sharer>(&list).await?.items.first().map(|sharer| sharer.project_id) {
        let share = key::shared_run(tenant, run, heir);
        let is_of_project = attribute("project_id").equals(project);
        let transaction = Transaction::new()
            .write(Write::require(&key::project(tenant, heir)).when(exists()).when(is_kept()))
            .label(HEIR)
            .write(Update::of(&row).set("project_id", heir).when(is_of_project))
            .write(Write::delete(&share));
        match store.commit(transaction, Retry::CONTENDED).await {
            Ok(()) => return Ok(false),
            // It is being deleted, too.
            Err(cancelled) if cancelled.refused(HEIR) => store.delete(&share).await?,
            Err(cancelled) => return Err(cancelled.into()),
        }
    }
    Ok(true)
}
