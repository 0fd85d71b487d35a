//! Feedback of people on a run or on one of its answers.

use std::collections::BTreeMap;

use sequent_core::{MessageId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::RunStage;

/// A change of one person's feedback on a run, or on one of its answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedbackChange {
    #[expect(missing_docs, reason = "plain data")]
    pub by: UserId,
    /// The answer that the feedback is on. It is on the whole run if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The new feedback, which replaces the former one. Absent if the person has removed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<Rating>,
    /// The stage of the run at that time. This event may be the last of its log: see [`JobEnd::run`](crate::JobEnd::run).
    pub run: RunStage,
}

/// The feedback of one person: at least one of its parts is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct Rating {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumb: Option<Thumb>,
    /// The scores by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, Score>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// The judgement of a person at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the names say it")]
pub enum Thumb {
    Up,
    Down,
}

/// A score: a number from -1,000 to 1,000 with three decimals. It is kept in thousandths, so that sums of scores are exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = f64, minimum = -1_000, maximum = 1_000, example = 0.75))]
pub struct Score(i64);

/// The number is no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a score is a number from -1,000 to 1,000")]
pub struct InvalidScore;

/// A part of a rating is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum InvalidRating {
    #[error("feedback has a thumb, a score or a comment")]
    Empty,
    #[error("feedback has at most {} scores", Rating::MAX_SCORES)]
    TooManyScores,
    #[error("the name of a score has 1 to {max} of the characters a-z, 0-9, `_`, `-` and `.`: `{name}`", max = Rating::MAX_NAME)]
    ScoreName { name: String },
    #[error("a comment has 1 to {} characters", Rating::MAX_COMMENT)]
    Comment,
}

impl Rating {
    /// Scores of one rating at most.
    pub const MAX_SCORES: usize = 10;
    /// Characters of the name of a score at most.
    pub const MAX_NAME: usize = 40;
    /// Characters of the comment at most. As an event, they take a quarter of what a log stores.
    pub const MAX_COMMENT: usize = 4_000;

    /// Returns the rating if it is within its limits.
    ///
    /// # Errors
    /// [`InvalidRating`].
    pub fn checked(self) -> Result<Self, InvalidRating> {
        if self == Self::default() {
            return Err(InvalidRating::Empty);
        }
        if self.scores.len() > Self::MAX_SCORES {
            return Err(InvalidRating::TooManyScores);
        }
        if let Some(name) = self.scores.keys().find(|name| !is_name(name)) {
            return Err(InvalidRating::ScoreName { name: name.chars().take(Self::MAX_NAME).collect() });
        }
        let is_short = |text: &str| !text.trim().is_empty() && text.chars().count() <= Self::MAX_COMMENT;
        if self.comment.as_deref().is_some_and(|text| !is_short(text)) {
            return Err(InvalidRating::Comment);
        }
        Ok(self)
    }
}

fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.');
    (1..=Rating::MAX_NAME).contains(&name.len()) && name.bytes().all(is_allowed)
}

impl Score {
    const ONE: f64 = 1_000.0;
    const MAX: i64 = 1_000_000;

    /// Makes a score of thousandths.
    ///
    /// # Errors
    /// [`InvalidScore`] if there are more than a million of them, or fewer than minus a million.
    pub const fn from_thousandths(thousandths: i64) -> Result<Self, InvalidScore> {
        if thousandths >= -Self::MAX && thousandths <= Self::MAX {
            Ok(Self(thousandths))
        } else {
            Err(InvalidScore)
        }
    }

    /// Returns the score in thousandths.
    #[must_use]
    pub const fn thousandths(self) -> i64 {
        self.0
    }
}

impl TryFrom<f64> for Score {
    type Error = InvalidScore;

    /// Rounds to three decimals.
    fn try_from(number: f64) -> Result<Self, InvalidScore> {
        let thousandths = (number * Self::ONE).round();
        if !thousandths.is_finite() || thousandths.abs() > Self::ONE * Self::ONE {
            return Err(InvalidScore);
        }
        #[expect(clippy::cast_possible_truncation, reason = "a whole number of at most a million")]
        Self::from_thousandths(thousandths as i64)
    }
}

impl From<Score> for f64 {
    fn from(score: Score) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "at most a million")]
        let thousandths = score.0 as Self;
        thousandths / Score::ONE
    }
}

/// The latest feedback of one person on a run, or on one of its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct GivenFeedback {
    pub by: UserId,
    /// The answer that the feedback is on. It is on the whole run if absent.
    pub message: Option<MessageId>,
    /// Absent if the person has removed it.
    pub rating: Option<Rating>,
    /// The time of the event.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests;
