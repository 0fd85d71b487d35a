//! Ending a run: the terminal segment and every row that repeats it, in one transaction.

use std::sync::Arc;

use crate::{Message, NameProject, Role, Standing};
use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_billing::{Payer, Spent, hold};
use sequent_core::{MicroUsd, ProjectId, RunId, TenantId, Timestamp};
use sequent_event::{Body, CancelReason, Hold, Phase, RunOutcome, State, TextMessage};
use sequent_runlog::{DynamoStorage, Finish, Signals, Stopped, TransactionRows, Writer};
use sequent_tables::{Change, Row, Transaction, key};

use serde_dynamo::to_attribute_value;

use crate::Run;

/// Closes the run's log with `bodies`, the last of which is terminal, and writes its final rows with it.
///
/// # Errors
/// As [`Writer::finish`].
pub async fn finish(
    storage: &DynamoStorage,
    writer: &Writer<DynamoStorage>,
    tenant: TenantId,
    run: &Run,
    known: Signals,
    bodies: Vec<Body>,
) -> Result<Finish, Stopped> {
    let storage = storage.clone();
    let run = run.clone();
    let rolled_back = known.cancel == Some(CancelReason::RolledBack);
    let rows = move |state: &State| -> Option<TransactionRows> {
        let rows = Final::new(&storage, tenant, run.clone(), state, rolled_back);
        Some(Arc::new(move |transaction| rows.join(transaction)))
    };
    writer.finish(known, bodies, rows).await
}

/// The bodies that bring a run of state `state` to rest: AG-UI wants messages and steps closed before the end.
#[must_use]
pub fn closing_bodies(state: &State) -> Vec<Body> {
    let open = state.open.iter().map(|open| match open.reasoning {
        true => Body::ReasoningMessageEnd { message_id: open.id },
        false => Body::TextMessageEnd { message_id: open.id },
    });
    let reasoning = state.open_reasoning.iter().map(|id| Body::ReasoningEnd { message_id: *id });
    let tools = state.open_tools.iter().map(|id| Body::ToolCallEnd { tool_call_id: id.clone() });
    let steps = state.open_steps.iter().map(|name| Body::StepFinished { step_name: name.clone() });
    open.chain(reasoning).chain(tools).chain(steps).collect()
}

/// What the conversation keeps of a run: its last response if it came to its end, else all that it had said.
fn answer(state: &State) -> Option<TextMessage> {
    let last = state.answers.last()?;
    let text = match state.phase {
        Phase::Finished(RunOutcome::Success) => last.text.clone(),
        _ => state.answer_text(),
    };
    (!text.is_empty()).then_some(TextMessage { id: last.id, text })
}

/// Lets go of the project that `run` answers in.
pub(crate) fn release(run: RunId, at: Timestamp) -> Change {
    Change {
        update: "SET live_run_id = :none, updated_at = :at".to_owned(),
        condition: Some("live_run_id = :run".to_owned()),
        values: vec![
            (":none", Value::Null(true)),
            (":at", Value::S(at.to_string())),
            (":run", Value::S(run.to_string())),
        ],
        ..Change::default()
    }
}

/// The final rows of a run.
pub(crate) struct Final {
    storage: DynamoStorage,
    tenant: TenantId,
    project: ProjectId,
    run: RunId,
    change: Change,
    pub(crate) messages: Vec<Row>,
    /// What is enqueued with the end.
    jobs: Vec<Row>,
    rolled_back: bool,
    /// What was held for it and what its calls cost, if it has ended for good.
    settles: Option<(Box<Hold>, Payer, MicroUsd)>,
    /// An execution began and none will follow: the project is this run's to release.
    leaves_project: bool,
    prompts: usize,
    at: Timestamp,
}

impl Final {
    pub(crate) fn new(
        storage: &DynamoStorage,
        tenant: TenantId,
        row: Run,
        state: &State,
        rolled_back: bool,
    ) -> Self {
        let (project, run) = (row.project_id, row.id);
        let at = state.ended_at.unwrap_or_else(Timestamp::now);
        let standing = match state.phase {
            Phase::Finished(RunOutcome::Success) => Standing::Complete,
            _ => Standing::Partial,
        };
        let prompts = state.prompts.len();
        let said = |ordinal: usize, role: Role, answer: &TextMessage, status: Standing| {
            let message = Message {
                id: answer.id,
                project_id: project,
                run_id: run,
                role,
                content: answer.text.clone(),
                status,
                created_at: at,
            };
            Row::new(&key::message(tenant, project, run, ordinal), &message)
                .expect("a message serialises to a map")
        };
        let messages = match () {
            // The run goes on, and so does its answer; a rolled back exchange never was; a child answers its parent.
            () if rolled_back || state.is_interrupted() || row.parent_run_id.is_some() => Vec::new(),
            () => {
                // The first message was stored when the run was; what steered it is known to the log alone.
                let steering = state.prompts.iter().enumerate().skip(1);
                let steering = steering.map(|(n, prompt)| said(n, Role::User, prompt, Standing::Complete));
                steering
                    .chain(answer(state).map(|answer| said(prompts, Role::Assistant, &answer, standing)))
                    .collect()
            }
        };
        let names = row.opens_project && state.phase == Phase::Finished(RunOutcome::Success) && !rolled_back;
        let payer = Payer { tenant, run, user: row.user_id, project };
        let hold = state.configuration.hold.clone().filter(|_| !state.is_interrupted());
        let settles = hold.map(|hold| (hold, payer, state.totals.cost_micro_usd));
        let naming = names.then(|| NameProject::job(tenant, project, run));
        let metering = settles.as_ref().and_then(|(hold, payer, cost)| Spent::job(hold, *payer, *cost, at));
        let jobs = naming.into_iter().chain(metering).flat_map(|job| job.rows(at)).collect();
        let storage = storage.clone();
        let answers = row.parent_run_id.is_none();
        let leaves_project = state.started_at.is_some() && !state.is_interrupted() && answers;
        let change = final_change(row, state);
        Self {
            storage,
            tenant,
            project,
            run,
            change,
            messages,
            jobs,
            rolled_back,
            settles,
            leaves_project,
            prompts,
            at,
        }
    }

    fn join(&self, transaction: Transaction) -> Transaction {
        let store = self.storage.store();
        let mut transaction =
            transaction.update(store, &key::run(self.tenant, self.run), self.change.clone());
        if self.leaves_project {
            let project = key::project(self.tenant, self.project);
            transaction = transaction.update(store, &project, release(self.run, self.at));
        }
        // A run ends once, and its jobs have ids of its own: nothing can stand in the way.
        for row in self.messages.iter().chain(&self.jobs) {
            transaction = transaction.put(store, row.clone());
        }
        if let Some((hold, payer, cost)) = &self.settles {
            transaction = hold::settle(hold, transaction, store, *payer, *cost, self.at);
        }
        if self.rolled_back {
            for ordinal in 0..self.prompts {
                transaction =
                    transaction.delete(store, &key::message(self.tenant, self.project, self.run, ordinal));
            }
        }
        transaction
    }
}

/// The run's row after the end of an execution: what the log says, and no lease. A run that waits for people stays in
/// the sweeper's index until the first of its questions expires.
fn final_change(run: Run, state: &State) -> Change {
    let run = run.projected(state);
    let attribute = |value: Result<Value, serde_dynamo::Error>| value.expect("a row's fields are plain data");
    let mut change = Change {
        update: "SET #status = :status, #usage = :usage, #cost = :cost, #error = :error, interrupts = :interrupts, \
                 started_at = :started, completed_at = :completed"
            .to_owned(),
        condition: Some("attribute_exists(pk)".to_owned()),
        names: vec![("#status", "status"), ("#usage", "usage"), ("#cost", "cost"), ("#error", "error")],
        values: vec![
            (":status", attribute(to_attribute_value(run.status))),
            (":usage", attribute(to_attribute_value(run.usage))),
            (":cost", attribute(to_attribute_value(run.cost))),
            (":error", attribute(to_attribute_value(&run.error))),
            (":interrupts", attribute(to_attribute_value(&run.interrupts))),
            (":started", attribute(to_attribute_value(run.started_at))),
            (":completed", attribute(to_attribute_value(run.completed_at))),
        ],
    };
    match run.interrupts.iter().filter_map(|question| question.expires_at).min() {
        Some(expiry) => {
            let index = key::active_run(run.id, expiry);
            change.update.push_str(", gsi2pk = :pk, gsi2sk = :sk REMOVE lease_until, lease_epoch");
            change.values.push((":pk", Value::S(index.pk().to_owned())));
            change.values.push((":sk", Value::S(index.sk().to_owned())));
        }
        None => change.update.push_str(" REMOVE lease_until, lease_epoch, gsi2pk, gsi2sk, opens_project"),
    }
    change
}
