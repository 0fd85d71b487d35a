//! The errors of agents and prompts.

use sequent_tables::{Cancelled, Error as DataError, InvalidCursor, key::DefinitionKind};

use crate::{MAX_BYTES, MAX_DEFINITIONS, MAX_LABELS, MAX_VERSIONS, VariableName, VersionLabel};

/// An operation on agents or prompts failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no such agent.
    #[error("no such agent")]
    AgentNotFound,
    /// The tenant has no such prompt.
    #[error("no such prompt")]
    PromptNotFound,
    /// The agent or the prompt has no such version.
    #[error("no version {0}")]
    VersionNotFound(u32),
    /// The agent or the prompt has no such label.
    #[error("no label `{0}`")]
    LabelNotFound(VersionLabel),
    /// The label has this version, or none, and not the one that the caller expects.
    #[error("the label has the version {0:?}")]
    LabelMoved(Option<u32>),
    /// An agent, or a prompt, has this name.
    #[error("the name is taken")]
    NameTaken(DefinitionKind),
    /// The tenant has as many agents, or prompts, as it may have.
    #[error("the tenant has {MAX_DEFINITIONS} of them")]
    TooManyDefinitions(DefinitionKind),
    /// The agent or the prompt has as many versions as it may have.
    #[error("there are {MAX_VERSIONS} versions")]
    TooManyVersions,
    /// The agent or the prompt has as many labels as it may have.
    #[error("there are {MAX_LABELS} labels")]
    TooManyLabels,
    /// Fields of a new version are not allowed.
    #[error("{} fields are not allowed", .0.len())]
    Invalid(Vec<InvalidField>),
    /// A template is not allowed.
    #[error("the template is not allowed: {0:?}")]
    Template(InvalidField),
    /// The instructions of a stored version cannot be rendered with these prompts and values.
    #[error("the instructions cannot be rendered: {0}")]
    NotRendered(String),
    /// The agent has a required variable, and requests that ask for no agent give no values.
    #[error("the variable `{0}` is required")]
    DefaultNeedsVariable(VariableName),
    /// The tenant's definitions have as many bytes as they may have, those of deleted ones included.
    #[error("the definitions have {MAX_BYTES} bytes")]
    TooManyBytes,
    /// The request declares a tool of the client with the name of a tool of the agent.
    #[error("the agent has a tool with the name `{0}`")]
    ClientToolTaken(String),
    /// The request and the agent together have more tools of the client than a run may have.
    #[error("the agent and the request have too many tools of the client")]
    TooManyClientTools,
    /// Values of variables are not allowed.
    #[error("{} variables are not allowed", .0.len())]
    Variables(Vec<InvalidField>),
    /// The cursor was not issued by this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// A row is not what this build wrote.
    #[error("the content of a version cannot be read or written")]
    Malformed(#[source] serde_json::Error),
    /// The table could not be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A transaction did not happen.
    #[error(transparent)]
    Commit(#[from] Cancelled),
}

/// A part of the input that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidField {
    /// The place as a JSON pointer into the body of the request that creates the definition, or into `variables`.
    pub pointer: String,
    /// The line of a template, from 1.
    pub line: Option<u32>,
    /// The rule, to be read after the place.
    pub detail: String,
}

impl InvalidField {
    pub(crate) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), line: None, detail: detail.into() }
    }
}

impl Error {
    /// The error of a definition that does not exist.
    pub(crate) const fn not_found(kind: DefinitionKind) -> Self {
        match kind {
            DefinitionKind::Agent => Self::AgentNotFound,
            DefinitionKind::Prompt => Self::PromptNotFound,
        }
    }
}
