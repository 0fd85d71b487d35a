//! `rebuild_projections`: a run's rows anew, from its log.
//!
//! The log is the truth and the rows repeat it, so rows that were lost or damaged are made again: the run's own, its place
//! in the lists, and what it said in its project. They are stored only if the log has not grown since it was read, so an
//! owner that writes at the same time is never overwritten with the past.
//!
//! Two things a log does not tell: that another run took its exchange's place (`replaces`), and that its project was
//! deleted. The latter the project's row tells; the former brings the replaced exchange back.

use std::{sync::Arc, time::Duration};

use crate::{Message, Project, Role, Standing};
use sequent_core::{MessageId, RunId, TenantId, UserId};
use sequent_event::{Body, CancelReason, Event, Phase, RunOutcome, State};
use sequent_jobs::{Context, Done, Failed, JobKind};
use sequent_runlog::{DynamoStorage, LogKey, Segment, Storage, read_all};
use sequent_tables::{Row, Transaction, key};
use serde::{Deserialize, Serialize};

use crate::{
    Cost, Run, Status, Tokens, Work,
    end::Final,
    queue::marked,
    start::{asked_at, said_at},
};

/// Makes a run's rows from its log.
#[derive(Debug, Clone, Copy, Default)]
pub struct RebuildProjections;

/// Which run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildInput {
    /// The run, of the tenant whose job it is.
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
        let text = format!("{} rows", 1 + rows.messages.len());
        Ok(Done { writes: Some(Arc::new(move |transaction| rows.join(transaction))), ..Done::text(text) })
    }
}

/// Rows as the log tells them.
struct Rebuilt {
    storage: DynamoStorage,
    key: LogKey,
    /// Where the log ended.
    next: u64,
    run: Row,
    /// The row of a run at work is its owner's: it is made only if there is none.
    owned: bool,
    messages: Vec<Row>,
}

/// What is said first in a log.
struct Opening {
    message: MessageId,
    content: String,
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
        // A run that nobody has begun does not say yet in which project it will answer.
        let project = state.project.or(stored.as_ref().map(|run| run.project_id));
        let project = project.ok_or_else(|| {
            Failed::Poison("The run has not begun and its row is gone: nobody knows its project.".to_owned())
        })?;
        let run = Run {
            id,
            project_id: project,
            user_id: opening.by,
            parent_run_id: state.parent.or(stored.as_ref().and_then(|run| run.parent_run_id)),
            status: Status::Pending,
            model: opening.model.clone(),
            work: Work::default(),
            interrupts: Vec::new(),
            usage: Tokens::default(),
            cost: Cost::default(),
            error: None,
            opens_project: false,
            created_at: asked_at(id),
            started_at: None,
            completed_at: None,
        }
        .projected(state);
        let exists: Option<Project> =
            store.get(&key::project(tenant, project)).await.map_err(Failed::retry)?;
        let messages = match exists {
            Some(_) => messages(storage, tenant, &run, state, events, &opening)?,
            None => Vec::new(),
        };
        let owned = stored.is_some() && !run.has_ended() && !state.is_interrupted();
        let row = row(storage, tenant, &run)?;
        Ok(Self { storage: storage.clone(), key, next: state.next().0, run: row, owned, messages })
    }

    fn join(&self, transaction: Transaction) -> Transaction {
        let store = self.storage.store();
        let LogKey { tenant, run } = self.key;
        let transaction = transaction.require_end_of_log(store, key::run_log(tenant, run), self.next);
        let transaction = if self.owned { transaction } else { transaction.put(store, self.run.clone()) };
        self.messages.iter().fold(transaction, |transaction, row| transaction.put(store, row.clone()))
    }
}

fn opening(events: &[Event]) -> Option<Opening> {
    events.iter().find_map(|event| match event.body()? {
        Body::UserMessage { message_id, content, by, model } => {
            Some(Opening { message: *message_id, content: content.clone(), by: (*by)?, model: model.clone() })
        }
        _ => None,
    })
}

/// The run's row, and its places in the indexes.
fn row(storage: &DynamoStorage, tenant: TenantId, run: &Run) -> Result<Row, Failed> {
    let row = Row::new(&key::run(tenant, run.id), run).map_err(Failed::retry)?;
    let row = row.gsi1(key::run_of_user(tenant, run.user_id, run.id));
    let expiry = run.interrupts.iter().filter_map(|question| question.expires_at).min();
    Ok(match expiry {
        _ if run.has_ended() => row,
        Some(expiry) => row.gsi2(key::active_run(run.id, expiry)),
        // Without a lease: whoever is told of it next continues it.
        None => marked(row, run.id, storage.now()),
    })
}

/// What the run said in its project, and what was said to it.
fn messages(
    storage: &DynamoStorage,
    tenant: TenantId,
    run: &Run,
    state: &State,
    events: &[Event],
    opening: &Opening,
) -> Result<Vec<Row>, Failed> {
    let rolled_back = events.iter().any(|event| {
        matches!(event.body(), Some(Body::CancelRequested { reason: CancelReason::RolledBack, .. }))
    }) && state.phase == Phase::Finished(RunOutcome::Cancelled);
    if rolled_back || run.parent_run_id.is_some() {
        return Ok(Vec::new());
    }
    let first = Message {
        id: opening.message,
        project_id: run.project_id,
        run_id: run.id,
        role: Role::User,
        content: opening.content.clone(),
        status: Standing::Complete,
        created_at: said_at(opening.message),
    };
    let key = key::message(tenant, run.project_id, run.id, 0);
    let first = Row::new(&key, &first).map_err(Failed::retry)?;
    let said = match run.has_ended() {
        true => Final::new(storage, tenant, run.clone(), state, false).messages,
        false => Vec::new(),
    };
    Ok([first].into_iter().chain(said).collect())
}
