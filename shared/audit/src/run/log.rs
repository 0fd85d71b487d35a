//! The end of a run's log, as the row of the run must repeat it.

use sequent_conversation::{Run, RunStatus};
use sequent_event::{Body, Entry, RunOutcome};
use sequent_runlog::Segment;

use super::Observation;
use crate::FindingKind;

/// The state that the last segment of a log shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogEnd {
    /// There is no log.
    Missing,
    /// The run may be executed.
    Open,
    /// The run waits for people.
    Waiting,
    /// The run has ended. Contains its status if the last event shows it.
    Closed(Option<RunStatus>),
}

impl LogEnd {
    pub(super) fn of(tail: Option<&Segment>) -> Self {
        match tail {
            None => Self::Missing,
            Some(segment) if segment.waits_for_people() => Self::Waiting,
            Some(segment) if segment.leaves_closed() => {
                Self::Closed(segment.entries.last().and_then(Entry::body).and_then(status_of))
            }
            Some(_) => Self::Open,
        }
    }

    /// Returns the observation that the row and the log contradict each other.
    pub(super) fn contradiction(self, run: &Run) -> Option<Observation> {
        let agrees = match self {
            Self::Missing => false,
            Self::Open => !run.has_ended(),
            Self::Waiting => run.status == RunStatus::Interrupted,
            Self::Closed(status) => run.has_ended() && status.is_none_or(|status| status == run.status),
        };
        let reason = || {
            let status = run.status.as_str();
            let log = match self {
                Self::Missing => "there is no log".to_owned(),
                Self::Open => "the log is open".to_owned(),
                Self::Waiting => "the log waits for people".to_owned(),
                Self::Closed(None) => "the log is closed".to_owned(),
                Self::Closed(Some(end)) => format!("the log ends with {}", end.as_str()),
            };
            format!("the row says {status}, and {log}")
        };
        (!agrees).then(|| (FindingKind::RunDiffersFromLog, reason()))
    }
}

fn status_of(body: &Body) -> Option<RunStatus> {
    match body {
        Body::RunError { .. } => Some(RunStatus::Error),
        Body::RunFinished { outcome: RunOutcome::Success, .. } => Some(RunStatus::Success),
        Body::RunFinished { outcome: RunOutcome::Cancelled, .. } => Some(RunStatus::Cancelled),
        _ => None,
    }
}
