//! The content of an agent's version.

use std::collections::BTreeMap;

use sequent_documents::DocumentKind;
use sequent_event::{Budget, Orchestration};
use sequent_model::{ModelName, ModelParameters};
#[cfg(feature = "openapi")]
use sequent_tool::ClientToolDeclaration;
use sequent_tool::{ClientTools, OutputSchema, ToolPolicy};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{PromptReference, VariableName};

/// One version of an agent. Everything is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AgentDefinition {
    /// A sentence about what the agent is for, for those who choose one: people and models.
    #[cfg_attr(feature = "openapi", schema(max_length = 1000, example = "Answers questions about orders."))]
    pub description: String,
    /// The way in which the agent appears to people.
    pub persona: Persona,
    /// The instructions: a template of at most 32,000 bytes. `{{ name }}` is the value of a variable,
    /// `{% if .. %}`, `{% elif .. %}`, `{% else %}` and `{% endif %}` make conditions, `{% include "name" %}` inserts a prompt of
    /// `prompts`, and the filters are `upper`, `lower` and `trim`. The standard variables are `date`, and
    /// `user_name`, `locale` and `time_zone`, to which requests may give values.
    #[cfg_attr(
        feature = "openapi",
        schema(max_length = 32000, example = "You help customers of {{ shop }}.")
    )]
    pub instructions: String,
    /// The prompts that the instructions may include. Without `@`, a prompt has its label `production`, or its latest version.
    #[cfg_attr(feature = "openapi", schema(max_items = 20))]
    pub prompts: Vec<PromptReference>,
    /// The variables of the instructions and of the prompts, besides the standard ones.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, VariableSpec>))]
    pub variables: BTreeMap<VariableName, VariableSpec>,
    /// The model. The default model of the deployment if it is null.
    pub model: Option<ModelName>,
    /// The models that are tried, in this order, if the one before cannot answer.
    #[cfg_attr(feature = "openapi", schema(max_items = 5))]
    pub fallbacks: Vec<ModelName>,
    /// The parameters of the model calls.
    pub parameters: ModelParameters,
    /// The tools that the model may call. All tools of the tenant if it is null.
    #[cfg_attr(feature = "openapi", schema(max_items = 64))]
    pub tools: Option<Vec<AgentTool>>,
    /// The tools that the client of a run carries out, beside those that a request declares. A child run has none.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<ClientToolDeclaration>, max_items = 32))]
    pub client_tools: ClientTools,
    /// `direct`: model and tools alternate until the model answers. `plan`: the model plans first, and the steps are carried out
    /// one by one.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^(direct|plan)$", example = "direct"))]
    pub orchestration: Orchestration,
    /// The document that a run delivers beside its answer: `report`, `slides` or `website`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, pattern = "^(report|slides|website)$", example = "report"))]
    pub deliverable_type: Option<DocumentKind>,
    /// The JSON Schema of the answer, of at most 16,000 bytes. Not together with `deliverable_type`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub output_schema: Option<OutputSchema>,
    /// The limits of a run, its children included.
    pub budget: AgentLimits,
    /// The part of a conversation that the model sees.
    pub history: HistorySettings,
    /// The notes that the agent keeps about each person, for later conversations. It keeps none if it is null.
    pub memory: Option<MemorySettings>,
    /// Messages that people may begin a conversation with.
    #[cfg_attr(feature = "openapi", schema(max_items = 10))]
    pub starters: Vec<String>,
}

/// The way in which an agent appears to people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Persona {
    /// The name that people see.
    #[cfg_attr(feature = "openapi", schema(max_length = 100, example = "Mira"))]
    pub display_name: Option<String>,
    /// The id of an artifact, or an address that begins with `https://`. It is never fetched.
    #[cfg_attr(feature = "openapi", schema(max_length = 2000, example = "https://example.com/mira.png"))]
    pub picture: Option<String>,
    /// Voice and manner, for the model.
    #[cfg_attr(feature = "openapi", schema(max_length = 2000, example = "Friendly and brief."))]
    pub manner: Option<String>,
}

impl Persona {
    /// Returns the instructions with the name and the manner of the agent before them.
    pub(crate) fn introduce(&self, instructions: String) -> String {
        let name = self.display_name.as_ref().map(|name| format!("Your name is {name}."));
        let manner = self.manner.as_ref().map(|manner| format!("Your voice and manner: {manner}"));
        let instructions = (!instructions.trim().is_empty()).then_some(instructions);
        [name, manner, instructions].into_iter().flatten().collect::<Vec<_>>().join("\n\n")
    }
}

/// A variable of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VariableSpec {
    /// The type of its values.
    #[serde(rename = "type")]
    pub kind: VariableKind,
    /// The meaning of the variable, for those who give values.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_length = 500))]
    pub description: String,
    /// The value if none is given. Without it, the variable has no value then: it is false in a condition, and renders as
    /// nothing.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Value>))]
    pub default: Option<Value>,
    /// A value must be given. Not together with `default`.
    #[serde(default)]
    pub required: bool,
}

/// The type of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the types of JSON")]
pub enum VariableKind {
    String,
    Number,
    Boolean,
}

/// A tool that the model may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AgentTool {
    /// The name: 1 to 64 visible ASCII characters.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[!-~]{1,64}$", example = "web_fetch"))]
    pub name: String,
    /// The policy for calls, beside that of the tool and of the tenant: the strictest is in force.
    #[serde(default)]
    pub policy: Option<ToolPolicy>,
}

/// The limits of an agent's runs. A limit that is null is set by the deployment alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AgentLimits {
    /// Model calls of the run.
    pub max_steps: Option<u32>,
    /// Input and output tokens.
    pub max_tokens: Option<u64>,
    /// Millionths of a US dollar.
    pub max_cost_micro_usd: Option<u64>,
    /// Seconds since the start of the first execution, without the time spent waiting for people.
    pub max_seconds: Option<u64>,
}

impl From<AgentLimits> for Budget {
    fn from(limits: AgentLimits) -> Self {
        let AgentLimits { max_steps, max_tokens, max_cost_micro_usd, max_seconds } = limits;
        Self { max_steps, max_tokens, max_cost_micro_usd, max_seconds }
    }
}

/// The part of a conversation that the model sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct HistorySettings {
    /// The number of earlier turns, the latest ones. All that fit if it is null.
    #[cfg_attr(feature = "openapi", schema(maximum = 1000))]
    pub turns: Option<u32>,
}

/// The notes that an agent keeps about a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct MemorySettings {
    /// The number of notes at most.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 50, default = 20))]
    pub max_notes: u32,
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self { max_notes: 20 }
    }
}
