//! The rows that are written with the first segment of a run.

use std::{collections::BTreeMap, sync::Arc};

use sequent_core::{MessageId, Timestamp};
use sequent_event::SentMessage;
use sequent_runlog::{DynamoStorage, TransactionRows};
use sequent_tables::{
    Key, Label, Row, Write, attribute,
    attributes::{CLAIMED, LEASE_EPOCH},
    key,
};

use super::{CLAIM, NewRun, PARENT, PROJECT, RESERVATION, configuration};
use crate::{
    Continues, Error, Message, PersonWaits, Project, ProjectName, Run, RunCost, RunOptions, RunStatus,
    RunStore, TokenUsage, outbox::queued, replies::prompt_ordinal, tree::Position, turn,
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

impl InitialState {
    /// Returns `true` if the run claims the turn when it is created.
    pub(super) const fn claims_turn(self) -> bool {
        match self {
            Self::Claimed | Self::Next => true,
            Self::Waiting => false,
        }
    }
}

/// The writes that come with the first segment of a run, in order, with the labels of their conditions.
pub(super) struct NewRows(Vec<(Write, Option<Label>)>);

impl NewRows {
    /// Finds the place of the run in its conversation.
    pub(super) async fn position(runs: &RunStore, new: &NewRun) -> Result<Position, Error> {
        let is_first = new.new_project || new.parent.is_some();
        match new.continues {
            Continues::Head | Continues::HeadWithout(_) if is_first => Ok(Position::default()),
            _ if is_first => Err(Error::UnknownTurn),
            continues => Position::of(runs.tables(), new.tenant, new.project, continues).await,
        }
    }

    pub(super) fn of(
        runs: &RunStore,
        new: &NewRun,
        position: Position,
        message_id: MessageId,
        now: Timestamp,
        initial: InitialState,
    ) -> Result<Self, Error> {
        let lineage = position.lineage;
        let pending = pending(new, &position);
        let run = match initial {
            InitialState::Claimed => leased_row(runs, new, &pending, now)?,
            InitialState::Next | InitialState::Waiting => queued(pending.row(new.tenant)?, new.run, now),
        };
        // A child works in its parent's project without answering there: it needs no turn and sends no message.
        if let Some(parent) = new.parent {
            let is_owned = attribute(LEASE_EPOCH).equals(parent.epoch);
            let require_parent = Write::require(&key::run(new.tenant, parent.run)).when(is_owned);
            return Ok(Self(vec![(require_parent, Some(PARENT)), (Write::insert(run), None)]));
        }
        let mut rows =
            Self(vec![(project(new, &position, now, initial)?, Some(PROJECT)), (Write::insert(run), None)]);
        let task = SentMessage { id: message_id, content: new.content.clone() };
        let kept = new.replay.iter().flat_map(|replay| replay.messages());
        for (earlier, said) in [task].into_iter().chain(kept).enumerate() {
            let ordinal = prompt_ordinal(earlier);
            let place = key::message(new.tenant, new.project, lineage.depth, new.run, ordinal);
            rows.push(Write::put(Row::new(&place, &Message::of_person(&pending, &said))?));
        }
        if initial == InitialState::Waiting {
            rows.push(Write::insert(turn::waiting_row(new.key(), new.project, lineage)?));
        }
        if let Some(reservation) = new.reservation.as_deref() {
            rows.0.push((reservation.update(new.tenant, new.run, now).into(), Some(RESERVATION)));
        }
        let claims = new.claims.iter().chain(&new.rows);
        rows.0.extend(claims.map(|claim| (claim.clone(), Some(CLAIM))));
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
fn leased_row(runs: &RunStore, new: &NewRun, pending: &Run, now: Timestamp) -> Result<Row, Error> {
    let running = Run { status: RunStatus::Running, started_at: Some(now), ..pending.clone() };
    Ok(DynamoStorage::leased(running.row(new.tenant)?, new.run, now + runs.settings().lease))
}

/// The write of the project: a new row, or the turn that the run claims or waits for. The run becomes the head.
fn project(new: &NewRun, position: &Position, now: Timestamp, initial: InitialState) -> Result<Write, Error> {
    if !new.new_project {
        let update = match initial.claims_turn() {
            true => turn::claim_for_new(new.key(), new.project, now),
            false => turn::wait_for(new.key(), new.project, now),
        };
        return Ok(position.move_head(update, new.run).into());
    }
    let next = position.lineage.next(new.run);
    let project = Project {
        id: new.project,
        name: ProjectName::from_message(&new.content.text()),
        user_id: new.user,
        created_at: now,
        updated_at: now,
        live_run_id: Some(new.run),
        head: Some(new.run),
        next,
        branches: 0,
        approved_tools: BTreeMap::new(),
        deleting: false,
    };
    let claimed: Vec<Key> = new.claims.iter().filter_map(Write::row_key).collect();
    let row = Row::new(&key::project(new.tenant, new.project), &project)?;
    let row = row.set(Project::APPROVED_TOOLS, &project.approved_tools);
    Ok(Write::insert(row.set(CLAIMED, claimed).set("next", next)))
}

/// The run before its first execution.
fn pending(new: &NewRun, position: &Position) -> Run {
    let lineage = position.lineage;
    Run {
        id: new.run,
        project_id: new.project,
        user_id: new.user,
        parent_run_id: new.parent_run(),
        after: lineage.after,
        status: RunStatus::Pending,
        model: new.model.clone(),
        options: RunOptions::from(&configuration(new, position)),
        interrupts: Vec::new(),
        usage: TokenUsage::default(),
        cost: RunCost::default(),
        error: None,
        opens_project: new.new_project,
        replay: new.replay.as_ref().map(|replay| replay.origin().into()),
        lineage,
        waiting: None,
        person_waits: PersonWaits::default(),
        created_at: new.run.created_at(),
        started_at: None,
        completed_at: None,
    }
}
