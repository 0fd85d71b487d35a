//! `rebuild_projections`: writes the rows of a run again, from its log.
//!
//! The log is the truth and the rows repeat it, so rows that were lost or damaged can be rebuilt: the run's own row, its
//! positions in the lists, its messages, and the feedback on it. They are stored only if the log has not grown since it was read, so the rows
//! of an owner that writes at the same time are never overwritten with older ones. The messages of a rolled back run are
//! deleted.
//!
//! The rows of a run whose conversation is deleted are not rebuilt.

use std::{sync::Arc, time::Duration};

use sequent_core::{ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_event::{Body, CancelReason, Event, Lineage, Phase, RunOutcome, State};
use sequent_jobs::{Context, Done, Failed, JobKind};
use sequent_runlog::{DynamoStorage, LogKey, Segment, Storage, read_all};
use sequent_tables::{Retry, Row, Transaction, Write, key};
use serde::{Deserialize, Serialize};

use crate::{
    Message, PersonWaits, Project, Run, RunCost, RunOptions, RunStatus, TokenUsage, feedback,
    finish::{answer_rows, prompt_keys},
    outbox::queued,
    replies::compacts,
    turn,
};

/// `rebuild_projections`: writes the rows of a run again, from its log.
#[derive(Debug, Clone, Copy, Default)]
pub struct RebuildProjections;

/// Messages that one transaction takes: they have 300 KB at most, and the transaction 4 MB.
const MESSAGES_AT_ONCE: usize = 10;

/// The input of [`RebuildProjections`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildInput {
    /// A run of the job's tenant.
    pub run_id: RunId,
}

impl JobKind for RebuildProjections {
    const TYPE: &'static str = "rebuild_projections";
    const TIMEOUT: Duration = Duration::from_secs(120);
    type Input = RebuildInput;

    fn key(_: &RebuildInput) -> Option<String> {
        None
    }

    async fn run(&self, input: RebuildInput, context: Context) -> Result<Done, Failed> {
        let key = LogKey { tenant: context.tenant, run: input.run_id };
        let segments = read_all(&context.storage, key).await.map_err(Failed::retry)?;
        let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
        let state = State::of(&events).map_err(|error| Failed::Poison(error.to_string()))?;
        let rows = Rebuilt::of(&context.storage, key, &events, &state).await?;
        let text = format!("{} rows were rebuilt.", 1 + rows.messages.len());
        // Together they may exceed what one transaction takes.
        for messages in rows.messages.chunks(MESSAGES_AT_ONCE) {
            let transaction = rows.at_end_of_log(Transaction::new());
            let transaction = messages.iter().cloned().fold(transaction, Transaction::write);
            context.store().commit(transaction, Retry::BRIEF).await.map_err(Failed::retry)?;
        }
        Ok(Done { writes: Some(Arc::new(move |transaction| rows.join(transaction))), ..Done::text(text) })
    }
}

/// The rebuilt rows of a run.
struct Rebuilt {
    key: LogKey,
    project: ProjectId,
    /// The first free position of the log.
    next: u64,
    /// `None` if the run is being executed: its owner maintains the row.
    run: Option<Row>,
    /// The messages of the run, and the feedback on it.
    messages: Vec<Write>,
}

/// The first user message of a log.
struct Opening {
    by: UserId,
    model: Option<String>,
}

impl Rebuilt {
    async fn of(
        storage: &DynamoStorage,
        key: LogKey,
        events: &[Event],
        state: &State,
    ) -> Result<Self, Failed> {
        let LogKey { tenant, run: id } = key;
        let store = storage.store();
        let opening = opening(events).ok_or_else(|| Failed::Poison("There is no such run.".to_owned()))?;
        let stored: Option<Run> = store.get(&key::run(tenant, id)).await.map_err(Failed::retry)?;
        let run = run(id, &opening, state, stored.as_ref())?;
        let project_key = key::project(tenant, run.project_id);
        let project: Option<Project> = store.get(&project_key).await.map_err(Failed::retry)?;
        if project.is_none_or(|project| project.deleting) {
            return Err(Failed::Poison("The conversation of the run was deleted.".to_owned()));
        }
        let mut messages = messages(key, &run, state, events)?;
        messages.extend(feedback::rebuilt(tenant, &run, state).map_err(Failed::retry)?);
        let is_owned = stored.is_some() && !run.has_ended() && !state.is_interrupted();
        let row = row(storage, tenant, &run)?;
        let project = run.project_id;
        Ok(Self { key, project, next: state.next().0, run: (!is_owned).then_some(row), messages })
    }

    fn at_end_of_log(&self, transaction: Transaction) -> Transaction {
        let LogKey { tenant, run } = self.key;
        // Rows that are stored after the deletion of the conversation has begun might outlast it.
        let is_kept = Write::require(&key::project(tenant, self.project)).when(turn::is_kept());
        transaction.write(Write::require_end_of_log(key::run_log(tenant, run), self.next)).write(is_kept)
    }

    fn join(&self, transaction: Transaction) -> Transaction {
        let transaction = self.at_end_of_log(transaction);
        self.run.iter().cloned().map(Write::put).fold(transaction, Transaction::write)
    }
}

fn opening(events: &[Event]) -> Option<Opening> {
    events.iter().find_map(|event| match event.body()? {
        Body::UserMessage { by, model, .. } => Some(Opening { by: (*by)?, model: model.clone() }),
        _ => None,
    })
}

/// The run as its log describes it. The log of a run that was never executed does not name its project: `stored`, the
/// present row, does.
fn run(id: RunId, opening: &Opening, state: &State, stored: Option<&Run>) -> Result<Run, Failed> {
    // The row first: a run that is shared may have been handed over to another conversation.
    let project = stored.map(|run| run.project_id).or(state.project);
    let project = project.ok_or_else(|| {
        let reason = "The run was never executed and its row is lost, so its project is unknown.";
        Failed::Poison(reason.to_owned())
    })?;
    let run = Run {
        id,
        project_id: project,
        user_id: opening.by,
        parent_run_id: state.parent.or(stored.and_then(|run| run.parent_run_id)),
        after: None,
        status: RunStatus::Pending,
        model: opening.model.clone(),
        options: RunOptions::default(),
        interrupts: Vec::new(),
        usage: TokenUsage::default(),
        cost: RunCost::default(),
        error: None,
        opens_project: false,
        replay: None,
        lineage: Lineage::default(),
        waiting: None,
        person_waits: PersonWaits::default(),
        created_at: id.created_at(),
        started_at: None,
        completed_at: None,
    };
    Ok(run.projected(state))
}

/// The row of the run with its positions in the indexes.
fn row(storage: &DynamoStorage, tenant: TenantId, run: &Run) -> Result<Row, Failed> {
    let row = run.row(tenant).map_err(Failed::retry)?;
    let expiry = run.interrupts.iter().filter_map(|question| question.expires_at).min();
    Ok(match expiry {
        _ if run.has_ended() => row,
        Some(expiry) => row.gsi2(key::active_run(run.id, expiry)),
        // The row has no lease: the next worker that receives the run continues it.
        None => queued(row, run.id, storage.now()),
    })
}

/// The messages of the run in its project.
fn messages(key: LogKey, run: &Run, state: &State, events: &[Event]) -> Result<Vec<Write>, Failed> {
    if run.parent_run_id.is_some() {
        return Ok(Vec::new());
    }
    let prompts = prompt_keys(key.tenant, run, state);
    if was_rolled_back(state, events) {
        return Ok(prompts.iter().map(Write::delete).collect());
    }
    let mut rows = Vec::new();
    for (key, said) in prompts.iter().zip(&state.prompts) {
        let is_first = rows.is_empty();
        let message = Message { compacts: is_first && compacts(state), ..Message::of_person(run, said) };
        rows.push(Row::new(key, &message).map_err(Failed::retry)?);
    }
    if run.has_ended() {
        let at = state.ended_at.unwrap_or_else(Timestamp::now);
        rows.extend(answer_rows(key.tenant, run, state, at));
    }
    Ok(rows.into_iter().map(Write::put).collect())
}

fn was_rolled_back(state: &State, events: &[Event]) -> bool {
    let asks_rollback = |event: &Event| {
        matches!(event.body(), Some(Body::CancelRequested { reason: CancelReason::RolledBack, .. }))
    };
    state.phase == Phase::Finished(RunOutcome::Cancelled) && events.iter().any(asks_rollback)
}
