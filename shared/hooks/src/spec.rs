//! The part of a hook that people choose: what it starts.

use sequent_conversation::OnConflict;
use sequent_core::{Principal, Scope};
use sequent_definitions::AgentReference;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, HookInput, HookName};

/// A hook as people choose it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the API describes the fields")]
pub struct HookSpec {
    pub name: HookName,
    /// Requests to its address start runs.
    pub enabled: bool,
    /// The default agent of the tenant, if there is one, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentReference>,
    pub input: HookInput,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub variables: Map<String, Value>,
    #[serde(default)]
    pub project: HookProject,
    /// The policy for a project that has a live run.
    pub on_conflict: OnConflict,
}

/// The conversation of a hook's runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum HookProject {
    /// Each run has a new project.
    #[default]
    New,
    /// All runs continue one project, which the first of them creates.
    Same,
}

impl HookSpec {
    /// Checks that the caller may have runs ended, if the hook does so.
    pub(crate) fn authorise(&self, caller: &Principal) -> Result<(), Error> {
        match self.on_conflict {
            OnConflict::Reject | OnConflict::Enqueue => Ok(()),
            OnConflict::Interrupt | OnConflict::Rollback => Ok(caller.require(Scope::RunsWrite)?),
        }
    }
}
