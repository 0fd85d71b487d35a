//! The row of a project, which is a conversation.

use std::collections::BTreeMap;

use sequent_core::{ProjectId, RunId, Timestamp, UserId};
use sequent_event::{ApprovedTool, Lineage};
use serde::{Deserialize, Deserializer, Serialize};

use crate::tree::MAX_BRANCHES;

/// A project as the API shows it and as the table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct Project {
    pub id: ProjectId,
    #[cfg_attr(feature = "openapi", schema(value_type = String, max_length = 200))]
    pub name: ProjectName,
    /// The user who created the project.
    pub user_id: UserId,
    pub created_at: Timestamp,
    /// The time at which the project was last renamed, sent a message for a new run, or answered in.
    pub updated_at: Timestamp,
    /// The run that has the turn in the project.
    #[serde(default)]
    pub live_run_id: Option<RunId>,
    /// The run that the next one continues: the end of the branch that is shown. Null if there is none.
    #[serde(default)]
    pub head: Option<RunId>,
    /// The place of the run that continues the head. Not shown by the API.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub next: Lineage,
    /// The number of runs that began a branch. Not shown by the API.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub branches: u32,
    /// The tools whose calls people have approved for the rest of the conversation, with the digests of the definitions that they
    /// have approved. Absent if there is none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub approved_tools: BTreeMap<String, String>,
    /// The project is being deleted: no run may start in it. Not shown by the API.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub deleting: bool,
}

/// A project's name: 1 to 200 characters after trimming, without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(
    value_type = String, min_length = 1, max_length = 200,
    pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
))]
pub struct ProjectName(String);

/// The text is not acceptable as a project's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a project name has 1 to 200 characters and no control characters")]
pub struct ProjectNameError;

impl Project {
    /// The attribute with the approved tools. Each is an entry of its own, so that two answers at once are both kept.
    pub(crate) const APPROVED_TOOLS: &str = "approved_tools";

    /// The tools whose calls people have approved for the rest of the conversation.
    pub(crate) fn approvals(&self) -> impl Iterator<Item = ApprovedTool> {
        let approved = self.approved_tools.iter();
        approved.map(|(name, definition)| ApprovedTool { name: name.clone(), definition: definition.clone() })
    }

    /// Returns `true` if the conversation takes no further branch.
    pub(crate) const fn is_full(&self) -> bool {
        self.branches >= MAX_BRANCHES
    }
}

impl ProjectName {
    /// Longest name, in characters.
    pub const MAX: usize = 200;

    /// Trims and checks the text.
    ///
    /// # Errors
    /// [`ProjectNameError`] if nothing is left, or the text is too long or has control characters.
    pub fn new(text: &str) -> Result<Self, ProjectNameError> {
        let text = text.trim();
        let fits =
            !text.is_empty() && text.chars().count() <= Self::MAX && !text.chars().any(char::is_control);
        fits.then(|| Self(text.to_owned())).ok_or(ProjectNameError)
    }

    /// Makes the name of a new conversation from the beginning of its first message, on one line.
    #[must_use]
    pub fn from_message(content: &str) -> Self {
        const LENGTH: usize = 60;
        let line = content.split_whitespace().collect::<Vec<_>>().join(" ");
        let clean: String = line.chars().filter(|c| !c.is_control()).collect();
        let mut name: String = clean.chars().take(LENGTH).collect();
        if clean.chars().count() > LENGTH {
            name.push('…');
        }
        Self::new(&name).unwrap_or_else(|_| Self("New conversation".to_owned()))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for ProjectName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(ProjectName::new("  Plans  ").unwrap().as_str(), "Plans");
        assert_eq!(ProjectName::new(" \n "), Err(ProjectNameError));
        assert_eq!(ProjectName::new("a\u{7}b"), Err(ProjectNameError));
        assert!(ProjectName::new(&"é".repeat(200)).is_ok());
        assert_eq!(ProjectName::new(&"é".repeat(201)), Err(ProjectNameError));
    }

    #[test]
    fn a_first_message_gives_a_one_line_name() {
        assert_eq!(ProjectName::from_message("Plan\n my  trip").as_str(), "Plan my trip");
        assert_eq!(ProjectName::from_message(&"ü".repeat(100)).as_str().chars().count(), 61);
        assert_eq!(ProjectName::from_message("\u{0}").as_str(), "New conversation");
    }
}
