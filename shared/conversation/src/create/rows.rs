//! The rows that are written with the first segment of a run.

use std::sync::Arc;

use sequent_core::{MessageId, Timestamp};
use sequent_event::SentMessage;
use sequent_runlog::{DynamoStorage, LogKey, TransactionRows};
use sequent_tables::{
    Key, Label, PageRequest, Row, Write, attribute,
    attributes::{CLAIMED, LEASE_EPOCH},
    key,
};

use super::{CLAIM, NewRun, PARENT, PROJECT, RESERVATION, configuration};
use crate::{
    Error, Message, Project, ProjectName, Run, RunCost, RunOptions, RunStatus, RunStore, TokenUsage,
    outbox::queued, turn,
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

/// The writes that come with the first segment of a run, in order, with the labels of their conditions.
pub(super) struct NewRows(Vec<(Write, Option<Label>)>);

impl NewRows {
    pub(super) async fn of(
        runs: &RunStore,
        new: &NewRun,
        message_id: MessageId,
        now: Timestamp,
        initial: InitialState,
    ) -> Result<Self, Error> {
        let run = match initial {
            InitialState::Claimed => leased_row(runs, new, now)?,
            InitialState::Next | InitialState::Waiting => queued(run_row(new, &pending(new))?, new.run, now),
        };
        // A child works in its parent's project without answering there: it needs no turn and sends no message.
        if let Some(parent) = new.parent {
            let is_owned = attribute(LEASE_EPOCH).equals(parent.epoch);
            let require_parent = Write::require(&key::run(new.tenant, parent.run)).when(is_owned);
            return Ok(Self(vec![(require_parent, Some(PARENT)), (Write::insert(run), None)]));
        }
        let said = SentMessage { id: message_id, content: new.content.clone() };
        let message = Message::of_person(new.project, new.run, &said);
        let message = Row::new(&key::message(new.tenant, new.project, new.run, 0), &message)?;
        let mut rows = Self(vec![
            (project(new, now, initial)?, Some(PROJECT)),
            (Write::insert(run), None),
            (Write::put(message), None),
        ]);
        if initial == InitialState::Waiting {
            rows.push(Write::insert(turn::waiting_row(new.key(), new.project)?));
        }
        if let Some(reservation) = new.reservation.as_deref() {
            rows.0.push((reservation.update(new.tenant, new.run, now).into(), Some(RESERVATION)));
        }
        let claims = new.claims.iter().chain(&new.rows);
        rows.0.extend(claims.map(|claim| (claim.clone(), Some(CLAIM))));
        if let Some(former) = new.replaces {
            // No message leads to the replaced run any more.
            let former = LogKey { run: former, ..new.key() };
            rows.push(Write::put(turn::replaced_row(former, new.project)?));
        }
        replaced(runs, new).await?.iter().map(Write::delete).for_each(|deletion| rows.push(deletion));
        Ok(rows)
    }

    fn push(&mut self, write: Write) {
        self.0.push((write, None));
    }

    pub(super) fn into_transaction_rows(self) -> TransactionRows {
        Arc::new(move |transaction| {
            self.0.iter().fold(transaction, |transaction, (write, label)| {
                let transaction = transaction.write(write.clone());
                match label {
                    Some(label) => transaction.label(*label),
                    None => transaction,
                }
            })
        })
    }
}

/// The row of a run that has an owner from its creation.
fn leased_row(runs: &RunStore, new: &NewRun, now: Timestamp) -> Result<Row, Error> {
    let running = Run { status: RunStatus::Running, started_at: Some(now), ..pending(new) };
    Ok(DynamoStorage::leased(run_row(new, &running)?, new.run, now + runs.settings().lease))
}

/// The write of the project: a new row, or the turn that the run claims or waits for.
fn project(new: &NewRun, now: Timestamp, initial: InitialState) -> Result<Write, Error> {
    if !new.new_project {
        return Ok(match initial {
            InitialState::Claimed | InitialState::Next => {
                turn::claim_for_new(new.key(), new.project, now).into()
            }
            InitialState::Waiting => turn::wait_for(new.key(), new.project, now).into(),
        });
    }
    let project = Project {
        id: new.project,
        name: ProjectName::from_message(&new.content.text()),
        user_id: new.user,
        created_at: now,
        updated_at: now,
        live_run_id: Some(new.run),
        deleting: false,
    };
    let claimed: Vec<Key> = new.claims.iter().filter_map(Write::row_key).collect();
    Ok(Write::insert(Row::new(&key::project(new.tenant, new.project), &project)?.set(CLAIMED, claimed)))
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
