//! Finishing a run: the terminal segment and every row that repeats it, in one transaction.

use std::sync::Arc;

use sequent_billing::{Payer, Spent, hold};
use sequent_core::{MicroUsd, ProjectId, TenantId, Timestamp};
use sequent_event::{Body, CancelReason, Hold, Phase, RunOutcome, State, TextMessage};
use sequent_runlog::{DynamoStorage, Finish, LogKey, Signals, Stopped, TransactionRows, Writer};
use sequent_tables::{Row, Transaction, Update, Write, exists, key};

use crate::{Message, MessageRole, MessageStatus, NameProject, Run, turn::release_update};

/// Closes the log of the run with `bodies`, the last of which is terminal, and writes the run's final rows with it.
/// `known` are the signals that the owner has acted on: if there are others, nothing is closed.
///
/// # Errors
/// As [`Writer::finish`].
pub async fn finish(
    writer: &Writer<DynamoStorage>,
    tenant: TenantId,
    run: &Run,
    known: Signals,
    bodies: Vec<Body>,
) -> Result<Finish, Stopped> {
    let run = run.clone();
    let rolled_back = known.cancel == Some(CancelReason::RolledBack);
    let rows = move |state: &State| -> Option<TransactionRows> {
        let rows = FinalRows::new(tenant, run.clone(), state, rolled_back);
        Some(Arc::new(move |transaction| rows.join(transaction)))
    };
    writer.finish(known, bodies, rows).await
}

/// Returns the events that close what is open in `state`: AG-UI requires that messages and steps end before the run.
#[must_use]
pub fn closing_bodies(state: &State) -> Vec<Body> {
    let messages = state.open.iter().map(|open| match open.reasoning {
        true => Body::ReasoningMessageEnd { message_id: open.id },
        false => Body::TextMessageEnd { message_id: open.id },
    });
    let reasoning = state.open_reasoning.iter().map(|id| Body::ReasoningEnd { message_id: *id });
    let tools = state.open_tools.iter().map(|id| Body::ToolCallEnd { tool_call_id: id.clone() });
    let steps = state.open_steps.iter().map(|name| Body::StepFinished { step_name: name.clone() });
    messages.chain(reasoning).chain(tools).chain(steps).collect()
}

/// Returns the part of the run that the conversation keeps: its last response if it succeeded, otherwise all its text.
fn answer(state: &State) -> Option<TextMessage> {
    let last = state.answers.last()?;
    let text = match state.phase {
        Phase::Finished(RunOutcome::Success) => last.text.clone(),
        _ => state.answer_text(),
    };
    (!text.is_empty()).then_some(TextMessage { id: last.id, text })
}

/// The settlement of a run that has ended for good.
struct Settlement {
    hold: Box<Hold>,
    payer: Payer,
    cost: MicroUsd,
}

/// The final rows of a run.
pub(crate) struct FinalRows {
    key: LogKey,
    project: ProjectId,
    run: Update,
    pub(crate) messages: Vec<Row>,
    jobs: Vec<Row>,
    settlement: Option<Settlement>,
    /// The run was executed and will not be again, so it releases the turn of its project.
    releases_turn: bool,
    /// The user messages to delete, because the exchange is rolled back.
    deleted_messages: usize,
    at: Timestamp,
}

impl FinalRows {
    pub(crate) fn new(tenant: TenantId, run: Run, state: &State, rolled_back: bool) -> Self {
        let at = state.ended_at.unwrap_or_else(Timestamp::now);
        let key = LogKey { tenant, run: run.id };
        let project = run.project_id;
        let is_child = run.parent_run_id.is_some();
        let waits = state.is_interrupted();
        let succeeded = state.phase == Phase::Finished(RunOutcome::Success);
        // An interrupted run goes on, and so does its answer. A child answers its parent.
        let messages =
            if rolled_back || waits || is_child { Vec::new() } else { messages(tenant, &run, state, at) };
        let settlement = state.configuration.hold.clone().filter(|_| !waits).map(|hold| Settlement {
            hold,
            payer: Payer { tenant, run: run.id, user: run.user_id, project },
            cost: state.totals.cost_micro_usd,
        });
        let names = run.opens_project && succeeded && !rolled_back;
        let naming = names.then(|| NameProject::job(tenant, project, run.id));
        let metering = settlement
            .as_ref()
            .and_then(|settlement| Spent::job(&settlement.hold, settlement.payer, settlement.cost, at));
        Self {
            key,
            project,
            run: run_update(key, run, state),
            messages,
            jobs: naming.into_iter().chain(metering).flat_map(|job| job.rows(at)).collect(),
            settlement,
            releases_turn: state.started_at.is_some() && !waits && !is_child,
            deleted_messages: if rolled_back { state.prompts.len() } else { 0 },
            at,
        }
    }

    fn join(&self, transaction: Transaction) -> Transaction {
        let mut transaction = transaction.write(self.run.clone());
        if self.releases_turn {
            transaction = transaction.write(release_update(self.key, self.project, self.at));
        }
        // A run ends once and its jobs have ids of their own, so these rows need no conditions.
        for row in self.messages.iter().chain(&self.jobs) {
            transaction = transaction.write(Write::put(row.clone()));
        }
        if let Some(Settlement { hold, payer, cost }) = &self.settlement {
            let writes = hold::settle(hold, *payer, *cost, self.at);
            transaction = writes.into_iter().fold(transaction, Transaction::write);
        }
        for ordinal in 0..self.deleted_messages {
            let message = key::message(self.key.tenant, self.project, self.key.run, ordinal);
            transaction = transaction.write(Write::delete(&message));
        }
        transaction
    }
}

/// The messages that the run adds to the conversation: the user messages that steered it, and its answer. The first user
/// message was stored with the run.
fn messages(tenant: TenantId, run: &Run, state: &State, at: Timestamp) -> Vec<Row> {
    let status = match state.phase {
        Phase::Finished(RunOutcome::Success) => MessageStatus::Complete,
        _ => MessageStatus::Partial,
    };
    let row = |ordinal: usize, role: MessageRole, text: &TextMessage, status: MessageStatus| {
        let message = Message {
            id: text.id,
            project_id: run.project_id,
            run_id: run.id,
            role,
            content: text.text.clone(),
            status,
            created_at: at,
        };
        Row::new(&key::message(tenant, run.project_id, run.id, ordinal), &message)
            .expect("a message serialises to a map")
    };
    let steering = state.prompts.iter().enumerate().skip(1);
    let steering =
        steering.map(|(ordinal, prompt)| row(ordinal, MessageRole::User, prompt, MessageStatus::Complete));
    let answer =
        answer(state).map(|answer| row(state.prompts.len(), MessageRole::Assistant, &answer, status));
    steering.chain(answer).collect()
}

/// The run's row after an execution: the state of the log, and no lease. A run that waits for people stays in the due
/// index until the first of its questions expires.
fn run_update(key: LogKey, run: Run, state: &State) -> Update {
    let run = run.projected(state);
    let update = Update::of(&key::run(key.tenant, key.run))
        .set("status", run.status)
        .set("usage", run.usage)
        .set("cost", run.cost)
        .set("error", &run.error)
        .set("interrupts", &run.interrupts)
        .set("started_at", run.started_at)
        .set("completed_at", run.completed_at)
        .remove("lease_until")
        .remove("lease_epoch")
        .when(exists());
    match run.interrupts.iter().filter_map(|question| question.expires_at).min() {
        Some(expiry) => update.gsi2(&key::active_run(run.id, expiry)),
        None => update.remove_gsi2().remove("opens_project"),
    }
}
