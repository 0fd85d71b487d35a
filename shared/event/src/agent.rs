//! The agent of a run, as its log records it.

use sequent_core::{AgentId, NoteId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The agent that a run was started with. The version of the agent and those of its prompts never change, so the
/// instructions of the run can be rendered from this record again at any time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunAgent {
    /// The id of the agent.
    pub id: AgentId,
    /// The name of the agent when the run was started.
    pub name: String,
    /// The number of the agent's version, from 1.
    pub version: u32,
    /// The versions of the prompts that the instructions include.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<PromptVersion>,
    /// The values of the variables in the instructions: those of the request, the defaults of the agent, and the date.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub variables: Map<String, Value>,
    /// The earlier turns of the conversation that requests contain at most. All of them if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u32>,
    /// The notes that the agent keeps about a person at most. It keeps none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_notes: Option<u32>,
}

/// A note that the agent has made about the person in an earlier conversation, as it was when the run was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct RunNote {
    pub id: NoteId,
    pub text: String,
}

/// A version of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PromptVersion {
    /// The name of the prompt.
    pub name: String,
    /// The number of the version, from 1.
    pub version: u32,
}

/// The version of an agent that carries out a step of a plan, or answers or judges in an evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "as in the agent of a run")]
pub struct StepAgent {
    pub id: AgentId,
    pub name: String,
    pub version: u32,
}
