//! What goes into a call, and what comes out.

use sequent_core::{RunId, TenantId};
use sequent_event::Artifact;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::Error;

/// One call of a tool.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// On whose behalf.
    pub tenant: TenantId,
    /// The run that calls.
    pub run: RunId,
    /// The call's id within the run, as the model gave it.
    pub id: &'a str,
    /// The same in every attempt at this call, on whichever process, and in no other call.
    pub idempotency_key: String,
    /// The arguments, checked against the tool's schema.
    pub arguments: Value,
}

/// What a call gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// What the model reads.
    pub content: String,
    /// What the agent writes into the log beside it.
    pub effects: Vec<Effect>,
}

/// Something that is an event of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The answer rests on a source.
    Cited(Citation),
    /// Bytes were kept.
    Saved(Artifact),
}

/// A source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citation {
    /// Where it is: an `http` or `https` address.
    pub url: String,
    /// What it is called.
    pub title: String,
    /// The passage that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
}

impl<'a> Call<'a> {
    /// A call. Model providers give ids that are unique within a run only, so the key holds both.
    #[must_use]
    pub fn new(tenant: TenantId, run: RunId, id: &'a str, arguments: Value) -> Self {
        Self { tenant, run, id, idempotency_key: format!("{run}:{id}"), arguments }
    }

    /// The arguments as the tool's own type. The schema has spoken before; this refuses what it let through.
    pub fn parse<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        serde_json::from_value(self.arguments.take())
            .map_err(|error| Error::Refused(format!("The arguments do not fit: {error}.")))
    }
}

impl Output {
    /// A text, and nothing beside it.
    pub fn text(content: impl Into<String>) -> Self {
        Self { content: content.into(), effects: Vec::new() }
    }
}
