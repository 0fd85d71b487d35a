//! The kinds of changes, by which a reader selects entries.

use std::{fmt, str::FromStr};

use sequent_core::Scope;

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the kinds are those of `FeedChange`")]
pub enum ChangeKind {
    RunCreated,
    RunStarted,
    RunInterrupted,
    RunAnswered,
    RunEnded,
    ProjectCreated,
    ProjectRenamed,
    ProjectDeleted,
    ProjectHeadMoved,
    MessageAdded,
    ArtifactCreated,
    JobEnded,
    CreditsLow,
    AgentPublished,
    ScheduleMissed,
}

/// The text is not the name of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a type of the feed: the types are {}", ChangeKind::names())]
pub struct UnknownKind;

impl ChangeKind {
    /// Every kind of change.
    pub const ALL: [Self; 15] = [
        Self::RunCreated,
        Self::RunStarted,
        Self::RunInterrupted,
        Self::RunAnswered,
        Self::RunEnded,
        Self::ProjectCreated,
        Self::ProjectRenamed,
        Self::ProjectDeleted,
        Self::ProjectHeadMoved,
        Self::MessageAdded,
        Self::ArtifactCreated,
        Self::JobEnded,
        Self::CreditsLow,
        Self::AgentPublished,
        Self::ScheduleMissed,
    ];

    /// Returns the name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RunCreated => "run.created",
            Self::RunStarted => "run.started",
            Self::RunInterrupted => "run.interrupted",
            Self::RunAnswered => "run.answered",
            Self::RunEnded => "run.ended",
            Self::ProjectCreated => "project.created",
            Self::ProjectRenamed => "project.renamed",
            Self::ProjectDeleted => "project.deleted",
            Self::ProjectHeadMoved => "project.head_moved",
            Self::MessageAdded => "message.added",
            Self::ArtifactCreated => "artifact.created",
            Self::JobEnded => "job.ended",
            Self::CreditsLow => "credits.low",
            Self::AgentPublished => "agent.published",
            Self::ScheduleMissed => "schedule.missed",
        }
    }

    /// The scope of those who may see such changes: that of the routes which show what has changed.
    #[must_use]
    pub const fn scope(self) -> Scope {
        match self {
            Self::RunCreated
            | Self::RunStarted
            | Self::RunInterrupted
            | Self::RunAnswered
            | Self::RunEnded
            | Self::JobEnded => Scope::RunsRead,
            Self::ProjectCreated
            | Self::ProjectRenamed
            | Self::ProjectDeleted
            | Self::ProjectHeadMoved
            | Self::MessageAdded => Scope::ProjectsRead,
            Self::ArtifactCreated => Scope::ArtifactsRead,
            Self::CreditsLow => Scope::Account,
            Self::AgentPublished => Scope::AgentsRead,
            Self::ScheduleMissed => Scope::SchedulesRead,
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ChangeKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownKind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_from_its_name() {
        for kind in ChangeKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        let refused = "run.ende".parse::<ChangeKind>().unwrap_err();
        assert!(refused.to_string().contains("run.ended, "), "{refused}");
    }
}
