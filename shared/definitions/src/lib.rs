//! Agents and prompts: named definitions in versions that never change.
//!
//! An [`Agent`] has versions, each an [`AgentDefinition`]: persona, instructions, model, tools and limits. The instructions are a
//! template and may include [`NamedPrompt`]s, which have versions, too. A label such as `production` names one version of an agent or
//! a prompt, and is moved by compare-and-swap. [`ToolRules`] restrict the tools of all agents of a tenant.
//!
//! Invariants:
//!
//! * **A version never changes.** It is inserted once, under the next number, in the transaction that makes it the latest.
//!   Deleting an agent or a prompt frees its name and hides it; its versions stay, because runs were made with them. A prompt that
//!   is created again under the name of a deleted one continues its numbers, so a name and a number mean one text for ever.
//! * **Instructions are a function of what a run records**: the agent and its version, the versions of the prompts, and the values
//!   of all variables ([`ChosenAgent`]). [`Agents::instructions`] reads nothing else that can change.
//! * **A template does little work.** It is a small part of Jinja without loops, assignments and calculations, so that its
//!   output, its memory and its time are bounded. Values are data: they are never parsed as templates.
//! * **Jobs of the service have a trust boundary.** Their instructions are prompts, too, which tenants may replace; the sentence
//!   that separates instructions from the texts of others is added to each ([`ServicePrompts`]).
//! * **Everything is bounded**: numbers of agents, prompts, versions and labels by the conditions of their writes, texts and lists
//!   when a version is created.

mod agents;
mod api_error;
mod cache;
mod check;
mod choose;
mod client_tools;
mod default_agent;
mod definition;
mod difference;
mod error;
mod head;
mod name;
mod prompts;
mod published;
mod reference;
mod registry;
mod service_instructions;
mod service_prompt;
mod starters;
mod surroundings;
mod template;
mod tool_rules;
mod variable;
mod version;

pub use agents::{Agent, AgentVersion, Agents, NewAgent};
pub use choose::{ChosenAgent, NamedAgent};
pub use default_agent::DefaultAgent;
pub use definition::{
    AgentDefinition, AgentLimits, AgentTool, HistorySettings, MemorySettings, Persona, VariableKind,
    VariableSpec,
};
pub use difference::{DiffLine, LineChange};
pub use error::{Error, InvalidField};
pub use name::{DefinitionName, InvalidText, VariableName, VersionLabel};
pub use prompts::{NamedPrompt, NewPrompt, PromptTemplate, Prompts};
pub use published::PublishedAgent;
pub use reference::{AgentKey, AgentReference, PromptReference, Selector};
pub use registry::{LabelMove, MAX_BYTES, MAX_DEFINITIONS, MAX_LABELS, MAX_VERSIONS};
pub use service_instructions::{ServiceInstructions, ServicePrompts, enclose};
pub use service_prompt::ServicePrompt;
pub use starters::starters;
pub use surroundings::Surroundings;
pub use template::MAX_RENDERED_BYTES;
pub use tool_rules::{ToolRules, ToolRulesError, count_call};
pub use version::{NewVersion, VersionSummary};
// A part of an agent's definition.
pub use sequent_tool::ToolPolicy;

#[cfg(test)]
mod tests;
