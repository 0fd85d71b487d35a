//! The notes of all agents: read, added by the calls of runs, and deleted.

use sequent_core::{AgentId, NoteId, ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_event::RunAgent;
use sequent_tables::{
    Error as DataError, Key, Label, PageRequest, Retry, Store, Transaction, Write,
    key::{self, DefinitionKind},
};
use serde::Deserialize;

use crate::{Error, Note, NoteText, row::MemoryRow};

const MEMORY: Label = Label::new("memory");
const ORIGIN: Label = Label::new("origin");

/// The place of the notes of one agent about one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct MemoryKey {
    pub tenant: TenantId,
    pub agent: AgentId,
    pub user: UserId,
}

impl MemoryKey {
    fn row(self) -> Key {
        key::memory(self.tenant, self.agent, self.user)
    }
}

/// A run whose agent keeps notes about the person who started the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotingRun {
    /// The place of the notes.
    pub memory: MemoryKey,
    run: RunId,
    project: ProjectId,
    max_notes: u32,
}

/// The part of a run's row that says whose notes its calls change.
#[derive(Deserialize)]
struct RunOrigin {
    user_id: UserId,
    project_id: ProjectId,
    agent: Option<RunAgent>,
}

/// The notes of all agents. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Memory(Store);

impl Memory {
    /// The notes in `store`.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self(store)
    }

    /// Reads the notes of an agent about a person, oldest first.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn notes(&self, of: MemoryKey) -> Result<Vec<Note>, DataError> {
        Ok(self.read(of).await?.notes)
    }

    /// Reads whose notes the calls of a run change.
    ///
    /// # Errors
    /// [`Error::NoMemory`] if the run was deleted or its agent keeps no notes, or when the table cannot be read.
    pub async fn of_run(&self, tenant: TenantId, run: RunId) -> Result<NotingRun, Error> {
        let row: Option<RunOrigin> = self.0.get(&key::run(tenant, run)).await?;
        let RunOrigin { user_id: user, project_id: project, agent } = row.ok_or(Error::NoMemory)?;
        let agent = agent.ok_or(Error::NoMemory)?;
        let max_notes = agent.max_notes.ok_or(Error::NoMemory)?;
        Ok(NotingRun { memory: MemoryKey { tenant, agent: agent.id, user }, run, project, max_notes })
    }

    /// Adds the note of a call, which has the id `id` in every attempt. Returns the note that the call has made before, or one
    /// with the same text, if there is one.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Deleted`] if the call has made a note before and it was deleted, [`Error::NoMemory`] if the run or
    /// the agent was deleted, or when the table fails.
    pub async fn add(
        &self,
        run: &NotingRun,
        id: NoteId,
        text: NoteText,
        now: Timestamp,
    ) -> Result<Note, Error> {
        let MemoryKey { tenant, agent, .. } = run.memory;
        let text = text.into_string();
        let note = Note { id, text, project_id: run.project, run_id: run.run, created_at: now };
        let max_notes = usize::try_from(run.max_notes).unwrap_or(usize::MAX);
        let mut tries = Retry::CONTENDED.tries();
        loop {
            let before = self.read(run.memory).await?;
            if let Some(known) = before.made_before(&note)? {
                return Ok(known.clone());
            }
            let after = before.with(note.clone(), max_notes)?;
            let transaction = Transaction::new()
                .write(before.change(&run.memory.row(), &after)?)
                .label(MEMORY)
                .write(Write::require(&key::run(tenant, run.run)))
                .label(ORIGIN)
                .write(Write::require(&key::definition(tenant, DefinitionKind::Agent, agent)))
                .label(ORIGIN);
            match self.0.commit_within(transaction, &mut tries).await {
                Ok(()) => return Ok(note),
                Err(cancelled) if cancelled.refused(ORIGIN) => return Err(Error::NoMemory),
                Err(cancelled) if cancelled.refused(MEMORY) && tries.pause().await => {}
                Err(cancelled) => return Err(cancelled.into()),
            }
        }
    }

    /// Deletes a note.
    ///
    /// # Errors
    /// [`Error::NoteNotFound`], or when the table fails.
    pub async fn delete(&self, of: MemoryKey, note: NoteId) -> Result<(), Error> {
        let is_deleted = self.delete_where(of, |known| known.id == note).await?;
        if is_deleted { Ok(()) } else { Err(Error::NoteNotFound) }
    }

    /// Deletes all notes of an agent about a person.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn clear(&self, of: MemoryKey) -> Result<(), DataError> {
        self.delete_where(of, |_| true).await.map(drop)
    }

    /// Deletes the notes that a run has made. After its row was deleted, it makes no more.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn delete_of_run(&self, of: MemoryKey, run: RunId) -> Result<(), DataError> {
        self.delete_where(of, |note| note.run_id == run).await.map(drop)
    }

    /// Deletes the notes of an agent about all people. After the agent was deleted, it makes no more.
    ///
    /// # Errors
    /// If the table fails. A part of the notes is deleted then.
    pub async fn delete_of_agent(&self, tenant: TenantId, agent: AgentId) -> Result<(), DataError> {
        let list = PageRequest::new(key::memories(tenant)).limit(Some(PageRequest::MAX_LIMIT)).oldest_first();
        let request = list.after(agent.to_string());
        let is_of_agent = |key: &Key| key::parse_memory(key).is_some_and(|(of, _)| of == agent);
        loop {
            let page = self.0.page_items(&request).await?;
            let keys = page.items.iter().filter_map(Key::of_item).take_while(is_of_agent);
            let keys: Vec<Key> = keys.collect();
            if keys.is_empty() {
                return Ok(());
            }
            for key in &keys {
                self.0.delete(key).await?;
            }
        }
    }

    async fn read(&self, of: MemoryKey) -> Result<MemoryRow, DataError> {
        Ok(self.0.get(&of.row()).await?.unwrap_or_default())
    }

    /// Deletes some of the notes. Returns `false` if there is none of them.
    async fn delete_where(
        &self,
        of: MemoryKey,
        is_left_out: impl Fn(&Note) -> bool,
    ) -> Result<bool, DataError> {
        let mut tries = Retry::CONTENDED.tries();
        loop {
            let before = self.read(of).await?;
            if !before.notes.iter().any(&is_left_out) {
                return Ok(false);
            }
            let change = before.change(&of.row(), &before.without(&is_left_out))?;
            if self.0.write_if(change).await? {
                return Ok(true);
            }
            if !tries.pause().await {
                return Err(DataError::Throttled);
            }
        }
    }
}
