//! Versions as they are stored and listed.

use sequent_core::{Timestamp, UserId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::Error;

/// A version to add.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVersion<T> {
    /// The content. It never changes.
    pub content: T,
    /// A note about what is new, for the list of versions: at most 500 characters.
    pub change: Option<String>,
    /// The user who adds it.
    pub user: UserId,
}

/// A version without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionSummary {
    /// The number: 1, 2, 3, without gaps.
    pub version: u32,
    /// A note about what is new.
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 500, example = "Answers in the language of the question.")
    )]
    pub change: Option<String>,
    /// The user who added it.
    pub user_id: UserId,
    /// The time at which it was added.
    pub created_at: Timestamp,
}

/// The row of a version. It is written once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionRow {
    #[serde(flatten)]
    pub(crate) summary: VersionSummary,
    /// The JSON of the content, so that it is read as it was written.
    content: String,
}

impl VersionRow {
    pub(crate) fn new<T: Serialize>(summary: VersionSummary, content: &T) -> Result<Self, Error> {
        Ok(Self { summary, content: serde_json::to_string(content).map_err(Error::Malformed)? })
    }

    /// The bytes of the content.
    pub(crate) fn bytes(&self) -> usize {
        self.content.len()
    }

    pub(crate) fn content<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.content).map_err(Error::Malformed)
    }
}
