//! The errors of schedules.

use std::fmt;

use sequent_core::{ApiError, Code, ErrorDetails, MissingScope};
use sequent_tables::{Cancelled, Error as DataError, InvalidCursor};

use crate::{
    MAX_SCHEDULES,
    spec::{MAX_INTERVAL, MAX_JITTER, MIN_INTERVAL},
};

/// An operation on schedules failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no such schedule.
    #[error("no such schedule")]
    NotFound,
    /// The tenant has as many schedules as it may have.
    #[error("the tenant has {MAX_SCHEDULES} schedules")]
    TooMany,
    /// There are both a cron expression and an interval, or neither.
    #[error("a schedule has either a cron expression or an interval")]
    Recurrence,
    /// The interval is too short or too long.
    #[error("the interval is not allowed")]
    Interval,
    /// The jitter is too long.
    #[error("the jitter is not allowed")]
    Jitter,
    /// The end comes before the start.
    #[error("the end comes before the start")]
    Period,
    /// The rule names no time, or none within the period of the schedule.
    #[error("no time is ever due")]
    NeverDue,
    /// Other requests changed the schedule again and again.
    #[error("another request changed the schedule")]
    Contended,
    /// The caller may not have its runs cancel others.
    #[error(transparent)]
    Scope(#[from] MissingScope),
    /// The run could not be started.
    #[error(transparent)]
    Run(#[from] sequent_conversation::Error),
    /// The user could not be read.
    #[error(transparent)]
    User(#[from] sequent_identity::Error),
    /// The cursor was not issued by this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// A read or write of the table failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A transaction was refused for a reason that no caller can change.
    #[error(transparent)]
    Commit(#[from] Cancelled),
}

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::NotFound => ErrorDetails::new(Code::NotFound, "There is no schedule with this id."),
            Self::TooMany => {
                let detail =
                    format!("A tenant can have at most {MAX_SCHEDULES} schedules. Delete one first.");
                ErrorDetails::new(Code::SchedulesLimit, detail).with("max_schedules", MAX_SCHEDULES)
            }
            Self::Recurrence => invalid("/cron", "or `every_seconds` must be set, and not both"),
            Self::Interval => invalid("/every_seconds", format!("must be {MIN_INTERVAL} to {MAX_INTERVAL}")),
            Self::Jitter => invalid("/jitter_seconds", format!("must be at most {MAX_JITTER}")),
            Self::Period => invalid("/ends_at", "must not be before `starts_at`"),
            Self::NeverDue => invalid(
                "/cron",
                "or the interval must name a time to come, within the period of the schedule",
            ),
            Self::Contended => {
                ErrorDetails::new(Code::Conflict, "Another request changed the schedule. Try again.")
            }
            Self::Scope(error) => error.details(),
            Self::Run(error) => error.details(),
            Self::User(error) => error.details(),
            Self::Cursor(error) => error.details(),
            Self::Data(error) => error.details(),
            Self::Commit(error) => error.details(),
        }
    }
}

fn invalid(pointer: &str, rule: impl fmt::Display) -> ErrorDetails {
    ErrorDetails::new(Code::ValidationFailed, "The schedule is not allowed.").at(pointer, rule.to_string())
}
