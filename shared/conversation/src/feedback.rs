//! Feedback on runs and on their answers: events of their logs, and the rows that repeat them.
//!
//! Feedback is given to the run in any state, also after its end. The event, the row and the counters of the run's agent are
//! one transaction, which needs the position at the end of the log: two changes at once are therefore applied one after the
//! other, and each is counted as what it changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sequent_core::{AgentId, MessageId, RunId, TenantId, Timestamp, UserId};
use sequent_event::{Body, FeedbackChange, GivenFeedback, Rating, Score, State, Thumb};
use sequent_runlog::{
    AppendError, Decision, DynamoStorage, LogKey, Storage as _, TransactionRows, Unavailable, decide,
};
use sequent_tables::{
    CursorKey, Error as TableError, InvalidCursor, Key, Label, Page, PageRequest, Retry, Row, Store,
    Transaction, Write, decode,
    key::{self, NumberedAgent},
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Run, Runs,
    statistics::{self, NAME, NAMES_LEFT, ScoreNames},
    turn,
};

const PROJECT: Label = Label::new("project");

/// The feedback of one person on a run, or on one of its answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct Feedback {
    pub run_id: RunId,
    /// The answer that the feedback is on. It is on the whole run if null.
    #[serde(default)]
    pub message_id: Option<MessageId>,
    /// The agent of the run, if it has one.
    #[serde(default)]
    pub agent: Option<RatedAgent>,
    /// The person who gave the feedback.
    pub user_id: UserId,
    #[serde(default)]
    pub thumb: Option<Thumb>,
    /// The scores by their names.
    #[serde(default)]
    pub scores: BTreeMap<String, Score>,
    #[serde(default)]
    pub comment: Option<String>,
    pub updated_at: Timestamp,
}

/// The version of an agent whose run was rated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RatedAgent {
    #[expect(missing_docs, reason = "plain data")]
    pub id: AgentId,
    /// The name of the agent when the run was started.
    pub name: String,
    /// The number of the version.
    pub version: u32,
}

impl Feedback {
    /// Changes of the feedback on one run: each is an event, and a log must stay readable.
    pub const MAX_CHANGES: usize = 200;

    fn new(run: &Run, given: &GivenFeedback) -> Option<Self> {
        let Rating { thumb, scores, comment } = given.rating.clone()?;
        let agent = run.options.agent.as_ref();
        Some(Self {
            run_id: run.id,
            message_id: given.message,
            agent: agent.map(|agent| RatedAgent {
                id: agent.id,
                name: agent.name.clone(),
                version: agent.version,
            }),
            user_id: given.by,
            thumb,
            scores,
            comment,
            updated_at: given.at,
        })
    }

    /// Returns the rating, without those who gave it.
    pub(crate) fn rating(&self) -> Rating {
        Rating { thumb: self.thumb, scores: self.scores.clone(), comment: self.comment.clone() }
    }
}

/// The run, or the answer of a run, that feedback is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct FeedbackTarget {
    pub run: RunId,
    pub message: Option<MessageId>,
}

/// The reason not to store a change.
enum NotStored {
    /// The feedback is like this already.
    Unchanged(Box<Option<Feedback>>),
    NotAllowed(Box<Error>),
}

/// Replaces the feedback of the person by `rating`, or removes it if that is `None`. A change that changes nothing stores
/// nothing, so a request can be repeated. Returns the feedback, unless it was removed.
///
/// # Errors
/// [`Error::RunNotFound`], [`Error::AnswerNotFound`], [`Error::TooMuchFeedback`], [`Error::TooManyScoreNames`], or when the table
/// or the log fails.
pub async fn give_feedback(
    storage: &DynamoStorage,
    tenant: TenantId,
    on: FeedbackTarget,
    by: UserId,
    rating: Option<Rating>,
) -> Result<Option<Feedback>, Error> {
    let run = Runs::new(storage.store(), tenant).get_for_caller(on.run).await?;
    let given = GivenFeedback { by, message: on.message, rating, at: storage.now() };
    let mut tries = Retry::CONTENDED.tries();
    loop {
        let of = run.numbered_agent();
        let names = ScoreNames::read(storage.store(), tenant, of, given.rating.as_ref()).await?;
        match Box::pin(store_feedback(storage, tenant, &run, &given, &names)).await {
            // Another request was first with a name.
            Err(Error::ClaimTaken) if tries.pause().await => {}
            stored => return stored,
        }
    }
}

/// Stores the change, if the version still has only these names of scores. [`Error::ClaimTaken`] otherwise.
async fn store_feedback(
    storage: &DynamoStorage,
    tenant: TenantId,
    run: &Run,
    given: &GivenFeedback,
    names: &ScoreNames,
) -> Result<Option<Feedback>, Error> {
    let decided = decide(storage, LogKey { tenant, run: run.id }, |state| {
        let former = former(state, given);
        let former_rating = former.and_then(|former| former.rating.as_ref());
        if former_rating == given.rating.as_ref() {
            return Err(NotStored::Unchanged(Box::new(former.and_then(|former| Feedback::new(run, former)))));
        }
        check(state, given).map_err(not_allowed)?;
        let change = FeedbackChange {
            by: given.by,
            message_id: given.message,
            rating: given.rating.clone(),
            run: state.stage(),
        };
        let rows = rows(tenant, run, names, former_rating, given).map_err(not_allowed)?;
        Ok((vec![Body::FeedbackGiven(change)], Some(rows)))
    });
    match Box::pin(decided).await.map_err(refusal)? {
        Decision::Stored(_) => Ok(Feedback::new(run, given)),
        Decision::Refused(NotStored::Unchanged(feedback)) => Ok(*feedback),
        Decision::Refused(NotStored::NotAllowed(error)) => Err(*error),
        Decision::Missing => Err(Error::RunNotFound),
    }
}

fn not_allowed(error: impl Into<Error>) -> NotStored {
    NotStored::NotAllowed(Box::new(error.into()))
}

/// The feedback that `given` replaces.
fn former<'a>(state: &'a State, given: &GivenFeedback) -> Option<&'a GivenFeedback> {
    state.feedback.iter().find(|former| former.by == given.by && former.message == given.message)
}

fn check(state: &State, given: &GivenFeedback) -> Result<(), Error> {
    if given.message.is_some_and(|message| !state.has_answer(message)) {
        return Err(Error::AnswerNotFound);
    }
    // A person can always take back what was given.
    let is_full = state.feedback_changes >= Feedback::MAX_CHANGES;
    if is_full && given.rating.is_some() { Err(Error::TooMuchFeedback) } else { Ok(()) }
}

fn refusal(error: Unavailable) -> Error {
    match error {
        Unavailable(AppendError::RowsRefused(cancelled)) if cancelled.refused(PROJECT) => Error::RunNotFound,
        // The name may be among the last ones for which there was room.
        Unavailable(AppendError::RowsRefused(cancelled)) if cancelled.refused(NAME) => Error::ClaimTaken,
        Unavailable(AppendError::RowsRefused(cancelled)) if cancelled.refused(NAMES_LEFT) => {
            Error::TooManyScoreNames
        }
        error => error.into(),
    }
}

/// The row of the feedback, and what it changes of the counters of the agent. What is stored after the deletion of the
/// conversation has begun might outlast it.
fn rows(
    tenant: TenantId,
    run: &Run,
    names: &ScoreNames,
    former: Option<&Rating>,
    given: &GivenFeedback,
) -> Result<TransactionRows, TableError> {
    let kept = Write::require(&key::project(tenant, run.project_id)).when(turn::is_kept());
    let mut writes = vec![(kept, Some(PROJECT)), (row(tenant, run, given)?, None)];
    if let Some(agent) = run.numbered_agent() {
        writes.extend(statistics::rated(tenant, agent, names, former, given.rating.as_ref()));
    }
    Ok(Arc::new(move |transaction: Transaction| {
        writes.iter().fold(transaction, |transaction, (write, label)| {
            let transaction = transaction.write(write.clone());
            match label {
                Some(label) => transaction.label(*label),
                None => transaction,
            }
        })
    }))
}

/// The write of the feedback's row.
fn row(tenant: TenantId, run: &Run, given: &GivenFeedback) -> Result<Write, TableError> {
    let key = key::feedback(tenant, run.numbered_agent(), run.id, given.by, given.message);
    Ok(match Feedback::new(run, given) {
        Some(feedback) => Write::put(Row::new(&key, &feedback)?),
        None => Write::delete(&key),
    })
}

/// The rows of the feedback on a run, as its log has it.
pub(crate) fn rebuilt(tenant: TenantId, run: &Run, state: &State) -> Result<Vec<Write>, TableError> {
    state.feedback.iter().map(|given| row(tenant, run, given)).collect()
}

/// Reads the feedback on a run and on its answers: 100 of it at most.
///
/// # Errors
/// Fails if the table fails.
pub async fn feedback_of_run(store: &Store, tenant: TenantId, run: &Run) -> Result<Vec<Feedback>, Error> {
    let prefix = key::feedback_prefix(run.numbered_agent(), run.id);
    let request = PageRequest::new(key::all_feedback(tenant)).after(&prefix).oldest_first();
    let page = store.page_items(&request.limit(Some(PageRequest::MAX_LIMIT))).await?;
    let own = page.items.into_iter().filter(|item| begins_with(Key::of_item(item).as_ref(), &prefix));
    Ok(own.map(decode).collect::<Result<_, _>>()?)
}

fn begins_with(key: Option<&Key>, prefix: &str) -> bool {
    key.is_some_and(|key| key.sk().starts_with(prefix))
}

/// The feedback of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum FeedbackFilter {
    All,
    Agent(AgentId),
    Version(NumberedAgent),
}

impl FeedbackFilter {
    fn prefix(self) -> String {
        match self {
            Self::All => String::new(),
            Self::Agent(agent) => format!("{agent}#"),
            Self::Version(version) => version.prefix(),
        }
    }
}

/// Reads a page of the feedback in a tenant: by agent and version, the latest first, and within a version that on the newest
/// runs first. Feedback on a conversation that is being deleted is left out.
///
/// # Errors
/// [`Error::Cursor`], or when the table fails.
pub async fn list_feedback(
    store: &Store,
    tenant: TenantId,
    filter: FeedbackFilter,
    cursors: &CursorKey,
    cursor: Option<&str>,
    limit: Option<u32>,
) -> Result<Page<Feedback>, Error> {
    let prefix = filter.prefix();
    // `~` follows all characters of keys.
    let first = PageRequest::new(key::all_feedback(tenant)).after(format!("{prefix}~")).limit(limit);
    let request = match cursor {
        Some(_) => first.cursor(cursors, cursor)?,
        None => first,
    };
    // Lists of different agents are parts of one partition.
    if !request.position().is_some_and(|position| position.starts_with(&prefix)) {
        return Err(InvalidCursor.into());
    }
    let page = store.page_items(&request).await?;
    let read = page.items.len();
    let own = page.items.iter().filter(|item| begins_with(Key::of_item(item).as_ref(), &prefix));
    let own: Vec<Feedback> = own.cloned().map(decode).collect::<Result<_, _>>()?;
    let is_last = own.len() < read;
    let page = page.with_items(without_deleted(store, tenant, own).await?);
    Ok(if is_last { page.at_end() } else { page })
}

/// Removes the feedback on runs of conversations that are being deleted.
async fn without_deleted(
    store: &Store,
    tenant: TenantId,
    mut feedback: Vec<Feedback>,
) -> Result<Vec<Feedback>, Error> {
    let rated: BTreeSet<RunId> = feedback.iter().map(|given| given.run_id).collect();
    let rated: Vec<RunId> = rated.into_iter().collect();
    let runs = Runs::new(store, tenant).get_kept(&rated).await?;
    let kept: BTreeSet<RunId> = runs.iter().map(|run| run.id).collect();
    feedback.retain(|given| kept.contains(&given.run_id));
    Ok(feedback)
}

#[cfg(test)]
mod tests;
