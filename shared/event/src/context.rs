//! The records of what a model was sent, and of what requests leave out.

use sequent_core::RunId;
use serde::{Deserialize, Serialize};

use crate::Usage;

/// A part of the conversation that requests leave out from here on.
///
/// The latest compaction with `covers` counts, and the latest with `words`. The calls of all compactions are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Compaction {
    /// The reason for it.
    pub reason: CompactionReason,
    /// The estimated tokens of the request that was too large.
    pub tokens: u64,
    /// The tokens that a request could have.
    pub room: u64,
    /// The calls whose results and long arguments are left out. Stubs say which call it was, and how large its result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<String>,
    /// The results and messages that are cut, although the model has not read them yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpts: Option<Excerpts>,
    /// The beginning of the conversation that is left out whole, with all compactions in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers: Option<Coverage>,
    /// The summary in its place. Without one, a mark says that something is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The summary could not be written at the time. Only the run itself keeps to the coverage: a later turn has the whole
    /// conversation and tries again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub provisional: bool,
    /// The last earlier turn whose calls are not read any more, nor those of the turns before it: requests contain only words
    /// of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<TurnPosition>,
    /// The model call that wrote the summary, or failed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

impl Compaction {
    /// Returns `true` if later turns keep to the coverage.
    #[must_use]
    pub fn covers_for_good(&self) -> bool {
        self.covers.is_some() && !self.provisional
    }
}

/// The reason for a compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompactionReason {
    /// The request would not have fitted the context window.
    Window,
    /// The provider refused the request as too large for the context window.
    Refused,
    /// The conversation has more turns than are read for a request.
    Turns,
}

/// Results and messages of people that are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Excerpts {
    /// The number of the response that they follow: those up to the next response are cut.
    pub after_response: u32,
    /// The bytes that each of them keeps.
    pub bytes: u32,
}

/// The beginning of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// The last earlier turn that is covered, and with it all turns before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<TurnPosition>,
    /// The number of responses of this run that are covered, with their results. If there are any, all earlier turns are
    /// covered too. The first message of this run, which is its task, never is.
    pub responses: u32,
}

impl Coverage {
    /// Returns `true` if the earlier turn is covered.
    #[must_use]
    pub fn has_turn(&self, turn: TurnPosition) -> bool {
        self.responses > 0 || self.through.is_some_and(|through| turn <= through)
    }
}

/// The position of a turn in its branch. Positions are ordered by depth, the recorded order of the turns: ids are ordered by
/// the clocks of those who made them. A branch has one run of each depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct TurnPosition {
    /// The number of runs that the run continues. It is the first field, because the order is that of the fields.
    pub depth: u32,
    pub run: RunId,
}

/// The request of a model call, as far as it cannot be computed from the log, and digests of the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRecord {
    /// The purpose of the request, such as `answer`, `plan` or `step`.
    pub purpose: String,
    /// The digest of its instructions and tools, which are stored under it.
    pub offer: String,
    /// The digest of its messages.
    pub messages: String,
    /// The tokens of the request, as they were estimated before it was sent.
    pub tokens: u64,
    /// The limit of the output, if the request had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_covered_by_its_depth_whatever_the_ids_say() {
        let at = |depth, id| TurnPosition { depth, run: RunId::from_bits(id) };
        let earlier = Coverage { through: Some(at(1, 3)), responses: 0 };
        assert!(earlier.has_turn(at(0, 9)) && earlier.has_turn(at(1, 3)) && !earlier.has_turn(at(2, 1)));
        let own = Coverage { through: None, responses: 3 };
        assert!(own.has_turn(at(0, 9)) && own.has_turn(at(2, 1)));
    }
}
