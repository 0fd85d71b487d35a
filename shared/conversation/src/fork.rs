//! Forking a conversation: a new project that begins with a branch of another one.
//!
//! The fork has copies of the message rows, and shares the runs with the conversation that it comes from: their logs, their
//! artifacts and their rows exist once. A row for each run that is shared names the fork. When the conversation that a run
//! belongs to is deleted, the run is handed over to a conversation that shares it.
//!
//! A request copies the rows in many transactions, so what it copies is bounded. If its process is lost on the way, the fork
//! stays without a head: it shows no message, and its deletion deletes what was copied.

use std::collections::{BTreeMap, BTreeSet};

use sequent_core::{ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_event::{Event, Lineage, State};
use sequent_runlog::{DynamoStorage, LogKey, Segment, read_all};
use sequent_tables::{
    Item, Key, Label, PageRequest, Retry, Row, Store, Transaction, Update, Write, attribute,
    attributes::CLAIMED, exists, key, limit::item_bytes,
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Project, ProjectName, Projects, Run, TurnReference,
    branch::{Branch, Siblings},
    tree::{self, located},
    turn::{is_kept, replaced_row},
};

/// Messages that one transaction copies: they have 300 KB at most, and the transaction 4 MB.
const MESSAGES_AT_ONCE: u32 = 10;

const SOURCE: Label = Label::new("source");
const FORK: Label = Label::new("fork");
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

impl NewFork<'_> {
    /// Turns that a fork begins with at most.
    pub const MAX_TURNS: u32 = 500;
    /// Bytes of their messages.
    pub const MAX_BYTES: usize = 8_000_000;
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
    /// [`Error::ProjectNotFound`], [`Error::UnknownTurn`], [`Error::ForkTooLarge`], [`Error::Busy`] if a run of the branch has
    /// not ended, or when the table fails.
    pub async fn fork(self, new: &NewFork<'_>, now: Timestamp) -> Result<Project, Error> {
        let source = self.get(new.project).await?;
        let run = match new.from {
            TurnReference::Start => None,
            TurnReference::Run(run) => Some(run),
            TurnReference::Message(message) => self.run_of_message(source.id, message).await?,
        };
        let run = run.ok_or(Error::UnknownTurn)?;
        let lineage = located(self.store, self.tenant, &source, run).await?;
        if lineage.depth >= NewFork::MAX_TURNS {
            return Err(Error::ForkTooLarge);
        }
        // The most likely reason for a refusal is checked before anything is stored.
        require_ended(self.store, self.tenant, run).await?;
        let branch = Branch::before(self.store, self.tenant, source.id, lineage.next(run)).await?;
        let fork = self.create_empty_fork(new, &source, now).await?;
        let copying = Copying { store: self.store, tenant: self.tenant, source: source.id, fork: fork.id };
        if let Err(error) = copying.copy(&branch).await {
            self.delete(fork.id).await?;
            return Err(error);
        }
        let update = Update::of(&key::project(self.tenant, fork.id)).when(exists()).when(is_kept());
        // The rows quote a fork that was made, and not one that failed: a retry with the same key may succeed.
        let update = tree::set_head(update, lineage.next(run)).set(CLAIMED, new.quotes);
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
            branches: 0,
            approved_tools: BTreeMap::new(),
            deleting: false,
        };
        let row = Row::new(&key::project(self.tenant, fork.id), &fork)?;
        let row = row.set(Project::APPROVED_TOOLS, &fork.approved_tools);
        self.store.insert(row.set("next", fork.next)).await?;
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
        let mut shared: BTreeSet<RunId> = BTreeSet::new();
        let mut bytes = 0;
        while let Some(at) = request {
            let page = branch.rows(at, Some(MESSAGES_AT_ONCE), &mut Siblings::default()).await?;
            bytes += page.items.iter().map(item_bytes).sum::<usize>();
            if bytes > NewFork::MAX_BYTES {
                return Err(Error::ForkTooLarge);
            }
            self.store_rows(&page.items, &mut shared).await?;
            request = page.last_key().map(|last| list.clone().after(last));
        }
        for run in branch.beginners().filter(|run| !shared.contains(run)) {
            self.share_replaced(run).await?;
        }
        Ok(())
    }

    /// Shares a run that began a branch and was rolled back since. It has no message, but its row leads to the branch.
    async fn share_replaced(&self, run: RunId) -> Result<(), Error> {
        let log = LogKey { tenant: self.tenant, run };
        let transaction =
            self.begin().write(self.share(run)?).write(Write::put(replaced_row(log, self.fork)?));
        self.commit(transaction).await
    }

    /// Requires both conversations. What is stored after the deletion of the fork has begun might outlast it.
    fn begin(&self) -> Transaction {
        let kept =
            |project| Write::require(&key::project(self.tenant, project)).when(exists()).when(is_kept());
        Transaction::new().write(kept(self.source)).label(SOURCE).write(kept(self.fork)).label(FORK)
    }

    async fn commit(&self, transaction: Transaction) -> Result<(), Error> {
        match self.store.commit(transaction, Retry::CONTENDED).await {
            Err(cancelled) if cancelled.refused(SOURCE) || cancelled.refused(FORK) => {
                Err(Error::ProjectNotFound)
            }
            committed => Ok(committed?),
        }
    }

    fn share(&self, run: RunId) -> Result<Write, Error> {
        let sharer = Sharer { project_id: self.fork };
        Ok(Write::put(Row::new(&key::shared_run(self.tenant, run, self.fork), &sharer)?))
    }

    async fn store_rows(&self, rows: &[Item], shared: &mut BTreeSet<RunId>) -> Result<(), Error> {
        let mut transaction = self.begin();
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
        for run in &runs {
            require_ended(self.store, self.tenant, *run).await?;
            transaction = transaction.write(self.share(*run)?);
        }
        shared.extend(runs);
        self.commit(transaction).await
    }
}

/// Checks that the run has ended: another message would be added to its own conversation alone.
async fn require_ended(store: &Store, tenant: TenantId, run: RunId) -> Result<(), Error> {
    let row: Option<Run> = store.get(&key::run(tenant, run)).await?;
    if row.is_some_and(|run| run.has_ended()) { Ok(()) } else { Err(Error::Busy(run)) }
}

/// Takes a run out of a project that is being deleted. Hands it over to a conversation that shares it, with its children.
/// Returns `true` if there is none, so that the run has to be deleted.
///
/// # Errors
/// Fails if the table or the log fails.
pub async fn leave_shared_run(
    storage: &DynamoStorage,
    tenant: TenantId,
    project: ProjectId,
    run: RunId,
) -> Result<bool, Error> {
    let store = storage.store();
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
        // Before the run: if the job is lost between the two, the next attempt finds the run here and does both again.
        hand_over_children(storage, LogKey { tenant, run }, heir).await?;
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

/// Makes the children of a run part of the conversation that it is handed over to.
async fn hand_over_children(storage: &DynamoStorage, log: LogKey, heir: ProjectId) -> Result<(), Error> {
    let segments = read_all(storage, log).await?;
    let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
    // The children of a damaged log stay where they are.
    let state = State::of(&events).unwrap_or_default();
    for child in state.own_children() {
        let update = Update::of(&key::run(log.tenant, child.run)).set("project_id", heir).when(exists());
        storage.store().write_if(update).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
