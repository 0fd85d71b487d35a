//! Ending a run: the terminal segment and every row that repeats it, in one transaction.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_data::{Change, Row, Transaction, key};
use sequent_domain::{ProjectId, RunId, TenantId, Timestamp};
use sequent_event::{Body, CancelReason, Outcome, Phase, State};
use sequent_project::{Message, Role, Standing};
use sequent_runlog::{Companions, DynamoStorage, Finish, Signals, Stopped, Writer};

use crate::{Run, Status};

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
    let (project, id) = (run.project_id, run.id);
    let rolled_back = known.cancel == Some(CancelReason::RolledBack);
    let rows = move |state: &State| -> Option<Companions> {
        let rows = Final::new(&storage, tenant, project, id, state, rolled_back);
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
struct Final {
    storage: DynamoStorage,
    tenant: TenantId,
    project: ProjectId,
    run: RunId,
    change: Change,
    answers: Vec<Row>,
    rolled_back: bool,
    /// An execution began, so the project is this run's to release.
    executed: bool,
    prompts: usize,
    at: Timestamp,
}

impl Final {
    fn new(
        storage: &DynamoStorage,
        tenant: TenantId,
        project: ProjectId,
        run: RunId,
        state: &State,
        rolled_back: bool,
    ) -> Self {
        let at = state.ended_at.unwrap_or_else(Timestamp::now);
        let standing = match state.phase {
            Phase::Finished(Outcome::Success) => Standing::Complete,
            _ => Standing::Partial,
        };
        let prompts = state.prompts.len();
        let said = state.answers.iter().filter(|answer| !answer.text.is_empty());
        let answers = said.zip(prompts..).map(|(answer, ordinal)| {
            let message = Message {
                id: answer.id,
                project_id: project,
                run_id: run,
                role: Role::Assistant,
                content: answer.text.clone(),
                status: standing,
                created_at: at,
            };
            Row::new(&key::message(tenant, project, run, ordinal), &message)
                .expect("a message serialises to a map")
        });
        let answers = if rolled_back { Vec::new() } else { answers.collect() };
        let storage = storage.clone();
        let executed = state.started_at.is_some();
        let change = final_change(state);
        Self { storage, tenant, project, run, change, answers, rolled_back, executed, prompts, at }
    }

    fn join(&self, transaction: Transaction) -> Transaction {
        let store = self.storage.store();
        let mut transaction =
            transaction.update(store, &key::run(self.tenant, self.run), self.change.clone());
        if self.executed {
            let project = key::project(self.tenant, self.project);
            transaction = transaction.update(store, &project, release(self.run, self.at));
        }
        for answer in &self.answers {
            transaction = transaction.put(store, answer.clone());
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

/// The run's row after the end: what the log says, and no lease.
fn final_change(state: &State) -> Change {
    let number = |n: u64| Value::N(n.to_string());
    let map =
        |pairs: [(&str, Value); 2]| Value::M(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
    let usage =
        map([("input_tokens", number(state.input_tokens)), ("output_tokens", number(state.output_tokens))]);
    let cost = map([("micro_usd", number(state.cost.0)), ("incomplete", Value::Bool(state.cost_incomplete))]);
    let error = match &state.phase {
        Phase::Failed { code, message } => {
            map([("code", Value::S(code.clone())), ("message", Value::S(message.clone()))])
        }
        _ => Value::Null(true),
    };
    let time = |at: Option<Timestamp>| at.map_or(Value::Null(true), |at| Value::S(at.to_string()));
    Change {
        update: "SET #status = :status, #usage = :usage, #cost = :cost, #error = :error, \
                 started_at = :started, completed_at = :completed \
                 REMOVE lease_until, lease_epoch, gsi2pk, gsi2sk"
            .to_owned(),
        condition: Some("attribute_exists(pk)".to_owned()),
        names: vec![("#status", "status"), ("#usage", "usage"), ("#cost", "cost"), ("#error", "error")],
        values: vec![
            (":status", Value::S(Status::of(&state.phase).as_str().to_owned())),
            (":usage", usage),
            (":cost", cost),
            (":error", error),
            (":started", time(state.started_at)),
            (":completed", time(state.ended_at)),
        ],
    }
}
