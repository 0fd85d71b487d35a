//! The place of a run in the tree of its conversation.

use std::ops::Not;

use sequent_core::RunId;
use serde::{Deserialize, Serialize};

/// The place of a run in the tree of its conversation. The default is that of the first run.
///
/// A branch has the name of the run that began it, and at most one run of each depth. The depth and the branch therefore
/// tell whether a message belongs to a branch, without a walk from run to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lineage {
    /// The run that this one continues. `None` if it begins the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<RunId>,
    /// The number of runs that this one continues, directly or through others.
    #[serde(skip_serializing_if = "is_zero")]
    pub depth: u32,
    /// The branch of `after`. `None` is the branch that the first run of the conversation began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<RunId>,
    /// The run begins a branch, because another run may continue `after`, too.
    #[serde(skip_serializing_if = "Not::not")]
    pub forks: bool,
}

impl Lineage {
    /// Returns the branch of `run`, which has this lineage.
    #[must_use]
    pub fn branch_of(self, run: RunId) -> Option<RunId> {
        if self.forks { Some(run) } else { self.branch }
    }

    /// Returns the lineage of the run that continues `run`, which has this lineage.
    #[must_use]
    pub fn next(self, run: RunId) -> Self {
        Self { after: Some(run), depth: self.depth + 1, branch: self.branch_of(run), forks: false }
    }

    /// Returns the lineage of another run that continues the same one, in a branch of its own.
    #[must_use]
    pub fn forking(self) -> Self {
        Self { forks: true, ..self }
    }

    /// Returns `true` if this is the lineage of the first run of a conversation.
    #[must_use]
    pub fn is_first(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(depth: &u32) -> bool {
    *depth == 0
}
