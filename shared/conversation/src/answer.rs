//! Answers to the questions that a run waits for.

use std::{sync::Arc, time::Duration};

use sequent_core::{InterruptId, Principal, Scope, Timestamp, pace::scaled};
use sequent_event::{
    AnswerStatus, ApprovedTool, AskedInterrupt, Body, Interrupt, InterruptAnswer, Reason, State,
};
use sequent_runlog::{Decision, DynamoStorage, LogKey, TransactionRows, decide};
use sequent_tables::{Transaction, Update, exists, key};

use crate::{Error, Project, RunQuestion, outbox};

/// Time after the last answer until the sweep checks that the run has an owner.
const GRACE: Duration = Duration::from_secs(30);

/// An answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerToQuestion {
    /// Id of the answered question.
    pub interrupt: InterruptId,
    /// The kind of answer.
    pub status: AnswerStatus,
    /// The answer, in the form that the question's schema requires.
    pub payload: Option<serde_json::Value>,
}

/// The process that resumes the run once all its questions are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeBy {
    /// A worker that receives the run from the queue.
    Worker,
    /// The caller, who claims the run at once. If the caller dies first, the sweep finds the run.
    Caller,
}

/// Stores answers: all of them, or none. The first answer to a question is the one that counts. Returns the state of the
/// run with the answers.
///
/// The caller has checked the payloads against the questions' schemas. `by` is `None` for answers that no caller sends.
///
/// # Errors
/// [`Error::Scope`] if `by` may not decide a tool call, [`Error::UnknownQuestion`], [`Error::AlreadyAnswered`], [`Error::RunEnded`], [`Error::RunNotFound`], or when the
/// table or the log fails.
pub async fn answer(
    storage: &DynamoStorage,
    key: LogKey,
    by: Option<&Principal>,
    answers: &[AnswerToQuestion],
    resume_by: ResumeBy,
) -> Result<State, Error> {
    let decided = decide(storage, key, |state| {
        let (after, bodies) = apply(state, answers, by)?;
        Ok((bodies, Some(rows(key, &after, resume_by, &always_approved(&after, answers)))))
    });
    match decided.await? {
        Decision::Stored(state) => Ok(*state),
        Decision::Refused(refusal) => Err(refusal),
        Decision::Missing => Err(Error::RunNotFound),
    }
}

/// Answers every question whose time is over as expired, and queues the run if no question is left. Returns `true` if the
/// run has nothing left to wait for, so that it needs an owner, whether or not this call has changed that: its last
/// question may have been answered before, or the run may have been cancelled.
///
/// # Errors
/// [`Error::RunNotFound`], or when the table or the log fails.
pub async fn expire(storage: &DynamoStorage, key: LogKey, now: Timestamp) -> Result<bool, Error> {
    let decided = decide(storage, key, |state| {
        let is_resumable = state.is_resumable();
        if is_resumable || !state.is_interrupted() {
            return Err(is_resumable);
        }
        let expired = |open: &&Interrupt| open.question.expires_at.is_some_and(|at| at <= now);
        let answers: Vec<AnswerToQuestion> = state
            .open_interrupts()
            .filter(expired)
            .map(|open| AnswerToQuestion { interrupt: open.id, status: AnswerStatus::Expired, payload: None })
            .collect();
        if answers.is_empty() {
            return Err(false);
        }
        let (after, bodies) = apply(state, &answers, None).map_err(|_| false)?;
        Ok((bodies, Some(rows(key, &after, ResumeBy::Worker, &[]))))
    });
    match decided.await? {
        Decision::Stored(state) => Ok(state.is_resumable()),
        Decision::Refused(is_resumable) => Ok(is_resumable),
        Decision::Missing => Err(Error::RunNotFound),
    }
}

/// Returns the state after the answers, and the events that lead there.
fn apply(
    state: &State,
    answers: &[AnswerToQuestion],
    by: Option<&Principal>,
) -> Result<(State, Vec<Body>), Error> {
    let mut after = state.clone();
    let mut bodies = Vec::with_capacity(answers.len());
    for answer in answers {
        let answered = answered(&after, answer, by)?;
        let asked = after.asked.iter_mut().find(|asked| asked.interrupt.id == answer.interrupt);
        if let Some(asked) = asked {
            asked.answer = Some(answered.clone());
        }
        bodies.push(Body::ClarificationAnswered(answered));
    }
    Ok((after, bodies))
}

fn answered(
    state: &State,
    answer: &AnswerToQuestion,
    by: Option<&Principal>,
) -> Result<InterruptAnswer, Error> {
    let asked = state.asked.iter().find(|asked| asked.interrupt.id == answer.interrupt);
    let asked = asked.ok_or(Error::UnknownQuestion(answer.interrupt))?;
    // Read from the log, because a program must not decide a call while the row of its run is behind.
    if let Some(by) = by.filter(|_| decides_a_call(asked.interrupt.question.reason)) {
        by.require(Scope::Approvals)?;
    }
    if let Some(first) = &asked.answer {
        return Err(Error::AlreadyAnswered(Box::new(first.clone())));
    }
    if !state.is_interrupted() || state.cancel.is_some() {
        return Err(Error::RunEnded);
    }
    let remaining = state.open_interrupts().count() - 1;
    Ok(InterruptAnswer {
        interrupt_id: answer.interrupt,
        status: answer.status,
        payload: answer.payload.clone(),
        by: by.map(|by| by.user),
        remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
    })
}

/// Returns `true` if the answer can make a tool run.
const fn decides_a_call(reason: Reason) -> bool {
    match reason {
        Reason::Approval | Reason::UnknownOutcome => true,
        Reason::Question | Reason::ClientTool => false,
    }
}

/// The tools that the answers approve for the rest of the conversation.
fn always_approved(after: &State, answers: &[AnswerToQuestion]) -> Vec<ApprovedTool> {
    let is_new = |asked: &&AskedInterrupt| answers.iter().any(|new| new.interrupt == asked.interrupt.id);
    after.asked.iter().filter(is_new).filter_map(AskedInterrupt::always_approved).collect()
}

/// The row of the run after the answers, and that of its project if they hold for later runs.
fn rows(key: LogKey, after: &State, resume_by: ResumeBy, approved: &[ApprovedTool]) -> TransactionRows {
    let open: Vec<RunQuestion> = after.open_interrupts().map(RunQuestion::from).collect();
    let now = Timestamp::now();
    let mut update = Update::of(&key::run(key.tenant, key.run)).set("interrupts", &open).when(exists());
    if open.is_empty() && resume_by == ResumeBy::Worker {
        update = outbox::queue_with(update, now);
    }
    // The sweep reads the run soon if it should be executed, otherwise when the next question expires.
    let next_expiry = open.iter().filter_map(|question| question.expires_at).min();
    let due = if open.is_empty() { Some(now + scaled(GRACE)) } else { next_expiry };
    if let Some(due) = due {
        update = update.gsi2(&key::active_run(key.run, due));
    }
    let project = after.project.filter(|_| !approved.is_empty());
    let project = project.map(|project| {
        let update = Update::of(&key::project(key.tenant, project)).when(exists());
        approved.iter().fold(update, |update, tool| {
            update.set([Project::APPROVED_TOOLS, tool.name.as_str()], &tool.definition)
        })
    });
    Arc::new(move |transaction: Transaction| {
        let transaction = transaction.write(update.clone());
        project.iter().cloned().fold(transaction, Transaction::write)
    })
}
