//! The rows that are written with the first segment of a run.

use std::sync::Arc;

use sequent_core::{MessageId, Timestamp};
use sequent_event::SentMessage;
use sequent_runlog::{DynamoStorage, LogKey, TransactionRows};
use sequent_tables::{Key, PageRequest, Row, Transaction, Write, attribute, key};

use super::{CLAIM, NewRun, PARENT, PROJECT, RESERVATION, configuration};
use crate::{
    Error, Message, Project, ProjectName, Run, RunCost, RunOptions, RunStatus, RunStore, TokenUsage,
    outbox::queued, project::CLAIMED, turn,
};

/// The place of a new run among the runs of its project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InitialState {
    /// The run has the turn and an owner.
    Claimed,
    /// The run is pending and has the turn.
    Next,
    /// The run is pending, and its turn comes later.
    Waiting,
}

/// The rows that are written with the first segment of a run.
pub(super) struct NewRows {
    new: NewRun,
    project: Row,
    pending: Row,
    leased: Row,
    waiting: Row,
    message: Row,
    /// The messages of the run that this one replaces.
    replaced: Vec<Key>,
    /// The row that leads to that run, because no message does any more.
    former: Option<Row>,
    now: Timestamp,
}

impl NewRows {
    pub(super) async fn new(
        runs: &RunStore,
        new: &NewRun,
        message_id: MessageId,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let project = Project {
            id: new.project,
            name: ProjectName::from_message(&new.content.text()),
            user_id: new.user,
            created_at: now,
            updated_at: now,
            live_run_id: Some(new.run),
            deleting: false,
        };
        let pending = pending(new);
        let running = Run { status: RunStatus::Running, started_at: Some(now), ..pending.clone() };
        let said = SentMessage { id: message_id, content: new.content.clone() };
        let message = Message::of_person(new.project, new.run, &said);
        let until = now + runs.settings().lease;
        let claimed: Vec<Key> = new.claims.iter().filter_map(Write::row_key).collect();
        let former = new.replaces.map(|run| turn::replaced_row(LogKey { run, ..new.key() }, new.project));
        Ok(Self {
            project: Row::new(&key::project(new.tenant, new.project), &project)?.set(CLAIMED, claimed),
            pending: queued(run_row(new, &pending)?, new.run, now),
            leased: DynamoStorage::leased(run_row(new, &running)?, new.run, until),
            waiting: turn::waiting_row(new.key(), new.project)?,
            message: Row::new(&key::message(new.tenant, new.project, new.run, 0), &message)?,
            replaced: replaced(runs, new).await?,
            former: former.transpose()?,
            new: new.clone(),
            now,
        })
    }

    pub(super) fn transaction_rows(self, placement: InitialState) -> TransactionRows {
        Arc::new(move |transaction| self.join(transaction, placement))
    }

    fn join(&self, transaction: Transaction, placement: InitialState) -> Transaction {
        let LogKey { tenant, .. } = self.new.key();
        let run = match placement {
            InitialState::Claimed => self.leased.clone(),
            InitialState::Next | InitialState::Waiting => self.pending.clone(),
        };
        // A child works in its parent's project without answering there: it needs no turn and sends no message.
        if let Some(parent) = self.new.parent {
            let is_owned = attribute("lease_epoch").equals(parent.epoch);
            let require_parent = Write::require(&key::run(tenant, parent.run)).when(is_owned);
            return transaction.write(require_parent).label(PARENT).write(Write::insert(run));
        }
        let mut transaction = transaction
            .write(self.project(placement))
            .label(PROJECT)
            .write(Write::insert(run))
            .write(Write::put(self.message.clone()));
        if placement == InitialState::Waiting {
            transaction = transaction.write(Write::insert(self.waiting.clone()));
        }
        self.with_replaced(self.with_claims(self.with_hold(transaction)))
    }

    fn project(&self, placement: InitialState) -> Write {
        if self.new.new_project {
            return Write::insert(self.project.clone());
        }
        match placement {
            InitialState::Claimed | InitialState::Next => {
                turn::claim_for_new(self.new.key(), self.new.project, self.now).into()
            }
            InitialState::Waiting => turn::wait_for(self.new.key(), self.new.project, self.now).into(),
        }
    }

    fn with_hold(&self, transaction: Transaction) -> Transaction {
        let Some(reservation) = self.new.reservation.as_deref() else { return transaction };
        transaction.write(reservation.update(self.new.tenant, self.new.run, self.now)).label(RESERVATION)
    }

    fn with_claims(&self, transaction: Transaction) -> Transaction {
        let claims = self.new.claims.iter().cloned();
        claims.fold(transaction, |transaction, claim| transaction.write(claim).label(CLAIM))
    }

    fn with_replaced(&self, transaction: Transaction) -> Transaction {
        let former = self.former.iter().cloned().map(Write::put);
        let deletions = self.replaced.iter().map(Write::delete);
        former.chain(deletions).fold(transaction, Transaction::write)
    }
}

/// The keys of the messages in the conversation that the new run replaces. Their number is bounded, because a run takes a
/// limited number of messages and answers each once at most.
async fn replaced(runs: &RunStore, new: &NewRun) -> Result<Vec<Key>, Error> {
    let Some(replaced) = new.replaces else { return Ok(Vec::new()) };
    let prefix = key::message_prefix(replaced);
    let mut keys: Vec<Key> = Vec::new();
    let mut after = prefix.clone();
    loop {
        let list = PageRequest::new(key::messages(new.tenant, new.project)).oldest_first();
        let page = runs.tables().page_items(&list.after(after).limit(Some(PageRequest::MAX_LIMIT))).await?;
        let found = page.items.iter().filter_map(Key::of_item).filter(|key| key.sk().starts_with(&prefix));
        let known = keys.len();
        keys.extend(found);
        match keys.last() {
            // A page ends at 1 MB, so there may be more.
            Some(last) if keys.len() > known => after = last.sk().to_owned(),
            _ => return Ok(keys),
        }
    }
}

/// The run before its first execution.
fn pending(new: &NewRun) -> Run {
    Run {
        id: new.run,
        project_id: new.project,
        user_id: new.user,
        parent_run_id: new.parent_run(),
        status: RunStatus::Pending,
        model: new.model.clone(),
        options: RunOptions::from(&configuration(new)),
        interrupts: Vec::new(),
        usage: TokenUsage::default(),
        cost: RunCost::default(),
        error: None,
        opens_project: new.new_project,
        waiting: None,
        created_at: new.run.created_at(),
        started_at: None,
        completed_at: None,
    }
}

fn run_row(new: &NewRun, run: &Run) -> Result<Row, Error> {
    let row = Row::new(&key::run(new.tenant, new.run), run)?;
    let row = row.gsi1(key::run_of_user(new.tenant, new.user, new.run));
    Ok(if run.opens_project { row.set("opens_project", true) } else { row })
}
