//! The input and the output of a call.

use schemars::JsonSchema;
use sequent_core::{RunId, TenantId};
use sequent_event::Artifact;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::Error;

/// One call of a tool.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The tenant of the run.
    pub tenant: TenantId,
    /// The run that makes the call.
    pub run: RunId,
    /// The call's id, unique within the run.
    pub id: &'a str,
    /// Identical in every attempt at this call, also on another process, and different for every other call.
    pub idempotency_key: String,
    /// The arguments, already checked against the tool's schema.
    pub arguments: Value,
}

/// The result of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The text for the model.
    pub content: String,
    /// Effects that the agent writes into the log, besides the text.
    pub effects: Vec<Effect>,
}

/// An effect of a call that becomes an event of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The answer cites a source.
    Cited(Citation),
    /// The call saved an artifact.
    Saved(Artifact),
}

/// A source that an answer rests on: the arguments of `cite_source`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Citation {
    /// The source's http(s) address.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
    /// The title of the source.
    #[schemars(length(min = 1, max = 500))]
    pub title: String,
    /// The passage that counts, word for word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 2000))]
    pub quote: Option<String>,
}

impl<'a> Call<'a> {
    /// Creates a call. Its idempotency key contains the run, because a call's id is unique within its run
    /// only.
    #[must_use]
    pub fn new(tenant: TenantId, run: RunId, id: &'a str, arguments: Value) -> Self {
        Self { tenant, run, id, idempotency_key: format!("{run}:{id}"), arguments }
    }

    /// Parses the arguments into the tool's own type.
    ///
    /// # Errors
    /// [`Error::Refused`] for arguments that the schema allows and the type does not.
    pub fn parse<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        serde_json::from_value(self.arguments.take())
            .map_err(|error| Error::Refused(format!("The arguments are not valid: {error}.")))
    }
}

impl Output {
    /// Creates an output without effects.
    pub fn text(content: impl Into<String>) -> Self {
        Self { content: content.into(), effects: Vec::new() }
    }
}
