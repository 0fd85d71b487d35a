//! The errors of a conversation.

use std::time::Duration;

use sequent_core::{ApiError, Code, ErrorDetails, InterruptId, MissingScope, RunId};
use sequent_event::{InterruptAnswer, Seq};
use sequent_runlog::{AppendError, EventsTooLarge, ReadError, Stopped, Unavailable};
use sequent_tables::{Cancelled, InvalidCursor, idempotency::KeyTaken};

use crate::{
    Feedback, MAX_STEERING_MESSAGES, NewFork, ReplayedRun, RunStatus, statistics::MAX_SCORE_NAMES,
    tree::MAX_BRANCHES,
};

/// An operation on a project or a run failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no such run.
    #[error("no such run")]
    RunNotFound,
    /// The tenant has no such project.
    #[error("no such project")]
    ProjectNotFound,
    /// This run has the project's turn. Nothing was stored.
    #[error("{0} answers in the project")]
    Busy(RunId),
    /// This run was asked to stop. It did not end in time, or its children and jobs did not and it still holds credits that the
    /// new run needs. Nothing was stored.
    #[error("{0} did not stop in time")]
    StillRunning(RunId),
    /// Another request was first: it has the idempotency key, the name of the project, or the turn. After several
    /// attempts this is the answer to the caller.
    #[error("another request was first")]
    ClaimTaken,
    /// The head of the project has moved since it was read. After several attempts this is the answer to the caller.
    #[error("another run has become the head of the project")]
    HeadMoved,
    /// The conversation has no run that could be continued there.
    #[error("no such run or message in the conversation")]
    UnknownTurn,
    /// The new run would continue this run, which the request rolls back.
    #[error("{0} is rolled back, so it cannot be continued")]
    ContinuesRolledBack(RunId),
    /// The part of a conversation that a fork would begin with is too large.
    #[error("the fork would begin with too much")]
    ForkTooLarge,
    /// The conversation has as many branches as it takes.
    #[error("the conversation has {MAX_BRANCHES} branches")]
    TooManyBranches,
    /// The model was not about to be asked after this event of the run's log, so the run cannot be run again from there. The
    /// positions are the last one before it and the first one after it from which it can.
    #[error("the model was not about to be asked there")]
    #[expect(missing_docs, reason = "the comment says it")]
    NoReplayPoint { before: Option<Seq>, after: Option<Seq> },
    /// The part of the run that a replay would keep is too large.
    #[error("the replay would keep {bytes} bytes in {events} events")]
    #[expect(missing_docs, reason = "plain data")]
    ReplayTooLarge { bytes: usize, events: usize },
    /// The account no longer has the credits that were to be held for the run, or the plan no longer allows the run.
    #[error("the account has changed")]
    ReservationLost,
    /// The run has asked no such question.
    #[error("the run has not asked {0}")]
    UnknownQuestion(InterruptId),
    /// The question has this answer already.
    #[error("{} was answered before", .0.interrupt_id)]
    AlreadyAnswered(Box<InterruptAnswer>),
    /// The run ended before the answer.
    #[error("the run has ended")]
    RunEnded,
    /// The run, which has this status, takes no message and no child.
    #[error("the run has the status {}", .0.as_str())]
    RunClosed(RunStatus),
    /// The run has been sent as many messages as it takes.
    #[error("the run takes no more than {MAX_STEERING_MESSAGES} messages")]
    TooManyMessages,
    /// The run has no such answer.
    #[error("the run has no such answer")]
    AnswerNotFound,
    /// Feedback on the run was changed as often as its log takes.
    #[error("feedback on the run was changed {} times", Feedback::MAX_CHANGES)]
    TooMuchFeedback,
    /// The version of the agent has scores of as many names as it may have.
    #[error("the version has scores of {MAX_SCORE_NAMES} names")]
    TooManyScoreNames,
    /// The request has variables, but no agent answers it.
    #[error("there are variables and no agent")]
    VariablesWithoutAgent,
    /// A tool of the client has the name of a tool of the tenant.
    #[error("the tenant has a tool with the name `{0}`")]
    ClientToolTaken(String),
    /// The agent cannot be used.
    #[error(transparent)]
    Agent(#[from] sequent_definitions::Error),
    /// The caller may send the request, but not for this effect.
    #[error(transparent)]
    Scope(#[from] MissingScope),
    /// The idempotency key of the request is in use.
    #[error(transparent)]
    KeyTaken(#[from] KeyTaken),
    /// The account does not allow the run, or could not be read or changed.
    #[error(transparent)]
    Billing(#[from] sequent_billing::Error),
    /// The cursor was not issued by this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// A read or write of the table failed.
    #[error(transparent)]
    Table(#[from] sequent_tables::Error),
    /// A transaction was refused for a reason that no caller can change.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A job of the run could not be stored or stopped.
    #[error(transparent)]
    Jobs(#[from] sequent_jobs::Error),
    /// The log could not be written.
    #[error(transparent)]
    Log(#[from] Unavailable),
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The writer of the run stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::RunNotFound => ErrorDetails::new(Code::NotFound, "There is no run with this id."),
            Self::ProjectNotFound => ErrorDetails::new(Code::NotFound, "There is no project with this id."),
            Self::Busy(run) => {
                let detail = "A run is active in this project. Wait for its end or cancel it. \
                              A new run can also choose another `on_conflict`.";
                ErrorDetails::new(Code::RunInProgress, detail).with("run_id", run.to_string())
            }
            Self::StillRunning(run) => {
                let detail = "The active run was asked to stop, but it or a part of it has not stopped yet. Try again.";
                ErrorDetails::new(Code::RunInProgress, detail)
                    .with("run_id", run.to_string())
                    .retry_after(Duration::from_secs(2))
            }
            Self::ClaimTaken | Self::HeadMoved => {
                ErrorDetails::new(Code::Conflict, "Another request was first. Try again.")
            }
            Self::UnknownTurn => {
                let detail =
                    "The conversation has no such run or message. Name one that its list of messages shows.";
                ErrorDetails::new(Code::ValidationFailed, detail)
            }
            Self::ContinuesRolledBack(run) => {
                let detail = "The run that `on_conflict: rollback` removes cannot be continued. Continue the run before it.";
                ErrorDetails::new(Code::ValidationFailed, detail).with("run_id", run.to_string())
            }
            Self::ForkTooLarge => {
                let max_mb = NewFork::MAX_BYTES / 1_000_000;
                let detail = format!(
                    "A fork begins with at most {} turns and {max_mb} MB of messages. Fork from an earlier turn.",
                    NewFork::MAX_TURNS
                );
                ErrorDetails::new(Code::ValidationFailed, detail).at("/from", "must be an earlier turn")
            }
            Self::TooManyBranches => {
                let detail = format!(
                    "A conversation has at most {MAX_BRANCHES} branches. Continue one of them, or fork the conversation."
                );
                ErrorDetails::new(Code::TooManyBranches, detail).with("max_branches", MAX_BRANCHES)
            }
            Self::NoReplayPoint { before, after } => no_replay_point(*before, *after),
            Self::ReplayTooLarge { bytes, events } => {
                let max_bytes = ReplayedRun::MAX_BYTES;
                let max_events = ReplayedRun::MAX_COPIES;
                let detail = format!(
                    "Up to there, the run has {bytes} bytes in {events} events. A replay keeps at most {max_bytes} bytes in \
                     {max_events} events."
                );
                ErrorDetails::new(Code::ValidationFailed, detail).at("/from", "must be an earlier event")
            }
            Self::UnknownQuestion(id) => {
                let detail = format!("The run has not asked the question {id}.");
                ErrorDetails::new(Code::ValidationFailed, detail)
            }
            Self::AlreadyAnswered(answer) => {
                let detail = "The question has another answer already. The member `answer` contains it.";
                ErrorDetails::new(Code::AlreadyAnswered, detail).with("answer", shown(answer))
            }
            Self::RunEnded => {
                ErrorDetails::new(Code::RunEnded, "The run ended before the answer. Start a new run.")
            }
            Self::RunClosed(status) => {
                let detail =
                    "The run has ended or waits for answers. Start a new run, or answer its questions.";
                ErrorDetails::new(Code::RunClosed, detail).with("status", status.as_str())
            }
            Self::TooManyMessages => {
                let detail = format!("A run takes {MAX_STEERING_MESSAGES} messages while it works.");
                ErrorDetails::new(Code::TooManyMessages, detail).with("max_messages", MAX_STEERING_MESSAGES)
            }
            Self::AnswerNotFound => ErrorDetails::new(Code::NotFound, "The run has no answer with this id."),
            Self::TooMuchFeedback => {
                let detail = format!("Feedback on a run is changed at most {} times.", Feedback::MAX_CHANGES);
                ErrorDetails::new(Code::TooMuchFeedback, detail).with("max_changes", Feedback::MAX_CHANGES)
            }
            Self::TooManyScoreNames => {
                let detail = format!(
                    "Feedback on a version of an agent has scores of at most {MAX_SCORE_NAMES} names. Use names that it has: its statistics list them."
                );
                ErrorDetails::new(Code::ValidationFailed, detail)
                    .at("/scores", format!("has a name beyond the {MAX_SCORE_NAMES} of the version"))
            }
            Self::ClientToolTaken(name) => {
                let detail = format!(
                    "The tenant has a tool with the name `{name}`. Give the client's tool another one."
                );
                ErrorDetails::new(Code::ValidationFailed, detail)
                    .at("/client_tools", format!("must have no tool with the name `{name}`"))
            }
            Self::VariablesWithoutAgent => {
                let detail =
                    "Variables are for the instructions of an agent. Name one in `agent`, or leave them out.";
                ErrorDetails::new(Code::ValidationFailed, detail)
                    .at("/variables", "must not be set without an agent")
            }
            Self::Agent(error) => error.details(),
            Self::Scope(error) => error.details(),
            Self::KeyTaken(error) => error.details(),
            Self::Billing(error) => error.details(),
            Self::Cursor(error) => error.details(),
            Self::Table(error) => error.details(),
            Self::Cancelled(error) => error.details(),
            Self::Log(Unavailable(AppendError::TooLarge(error)))
            | Self::Stopped(Stopped::TooLarge(error)) => too_large(*error),
            Self::ReservationLost | Self::Jobs(_) | Self::Log(_) | Self::Read(_) | Self::Stopped(_) => {
                ErrorDetails::unavailable()
            }
        }
    }
}

/// The nearest positions are members of the problem, for programs, and in its text.
fn no_replay_point(before: Option<Seq>, after: Option<Seq>) -> ErrorDetails {
    let nearest: Vec<Seq> = before.into_iter().chain(after).collect();
    let names: Vec<String> = nearest.iter().map(Seq::to_string).collect();
    let detail = match names.as_slice() {
        [] => "The model of this run was never about to be asked, so there is nothing to keep. Leave `from` out.".to_owned(),
        names => format!(
            "The model was not about to be asked after this event. The nearest events after which it was: {}.",
            names.join(" and ")
        ),
    };
    ErrorDetails::new(Code::ValidationFailed, detail)
        .at("/from", "must be the seq of an event after which the model was about to be asked")
        .with("nearest", serde_json::json!(nearest))
}

fn too_large(error: EventsTooLarge) -> ErrorDetails {
    let detail =
        format!("The content has {} bytes in JSON. The run's log takes {}.", error.bytes, error.max_bytes);
    ErrorDetails::new(Code::EventTooLarge, detail).with("max_bytes", error.max_bytes)
}

fn shown(answer: &InterruptAnswer) -> serde_json::Value {
    serde_json::json!({
        "interrupt_id": answer.interrupt_id,
        "status": answer.status,
        "payload": answer.payload,
        "by": answer.by,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_that_is_too_large_is_the_callers_error_with_the_limit() {
        let too_large = EventsTooLarge { events: 1, bytes: 393_216, max_bytes: 100_000 };
        for error in [
            Error::Log(Unavailable(AppendError::TooLarge(too_large))),
            Error::Stopped(Stopped::TooLarge(too_large)),
        ] {
            let details = error.details();
            assert_eq!(details.code, Code::EventTooLarge);
            assert!(!details.code.kind().is_server_fault());
        }
    }
}
