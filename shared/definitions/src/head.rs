//! The row of a definition: its name, and the versions that its labels name.

use std::collections::BTreeMap;

use sequent_core::{Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::{DefinitionName, VersionLabel};

/// The row of an agent or a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The id of an agent, or the name of a prompt.
    pub(crate) id: String,
    pub(crate) name: DefinitionName,
    /// The description in the latest version.
    pub(crate) description: String,
    pub(crate) latest_version: u32,
    pub(crate) labels: BTreeMap<VersionLabel, u32>,
    /// The user who created it.
    pub(crate) user_id: UserId,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl Head {
    /// Returns the version with a label.
    pub(crate) fn labelled(&self, label: &str) -> Option<u32> {
        self.labels.iter().find(|(known, _)| known.as_str() == label).map(|(_, version)| *version)
    }
}
