//! A tool: what the model sees, and how the agent must treat it.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use sequent_core::Scope;
use sequent_model::ToolSpec;
use serde_json::{Value, json};

use crate::{Call, CallLimits, Error, Output, definition_digest};

/// A tool. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tool {
    /// The name, description and parameters that the model sees.
    pub spec: ToolSpec,
    /// A call may be repeated with the same idempotency key without a second effect. After a crash or a
    /// timeout the agent retries such a call; for any other it asks a person.
    pub idempotent: bool,
    /// A person must approve each call.
    pub needs_approval: bool,
    /// The limits that the tenant sets to its calls.
    pub limits: CallLimits,
    /// Its results come from somewhere else than its arguments, so an address in one was not composed by the model. A tool that
    /// joins, decodes or repeats texts returns what the model makes of them.
    pub finds_addresses: bool,
    /// Time limit of one attempt.
    pub timeout: Duration,
    /// Size limit of the text that the model reads.
    pub max_result_bytes: usize,
    /// The scope that the caller of the run needs.
    pub scope: Option<Scope>,
    /// The place outside of the deployment that its calls reach, as far as that is no secret. Empty if there is none.
    pub target: String,
    /// The kind of the tool.
    pub kind: ToolKind,
}

/// The kinds of tools.
#[derive(Clone)]
pub enum ToolKind {
    /// The handler runs and returns a result.
    Runs(Arc<dyn Handler>),
    /// A background job of this type runs, with the arguments as its input. For work that may outlast an
    /// invocation: the run releases its process and continues with the job's result.
    Job(&'static str),
    /// The run waits until a person has answered. The arguments are an
    /// [`ask_user::UserQuestion`](crate::ask_user::UserQuestion).
    AsksPerson,
    /// The run waits until its client has carried out the call. The answer of the client is the result.
    Client,
}

/// The code that a call runs. A trait, because tools reach foreign systems: the web, a tenant's own server.
pub trait Handler: Send + Sync {
    /// Makes the call. Dropping the future cancels it. An implementation may panic or never return:
    /// [`run`](crate::run()) handles both.
    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Output, Error>>;
}

impl Tool {
    /// The default time limit of a call.
    pub const TIMEOUT: Duration = Duration::from_secs(30);
    /// The default size limit of a result.
    pub const MAX_RESULT_BYTES: usize = 64 << 10;

    /// Creates a tool with the cautious defaults: not idempotent, no approval, no scope.
    pub fn new(
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: Value,
        kind: ToolKind,
    ) -> Self {
        Self {
            spec: ToolSpec { name: name.into(), description: description.into(), parameters },
            idempotent: false,
            needs_approval: false,
            limits: CallLimits::default(),
            finds_addresses: false,
            timeout: Self::TIMEOUT,
            max_result_bytes: Self::MAX_RESULT_BYTES,
            scope: None,
            target: String::new(),
            kind,
        }
    }

    /// Returns the digest of what a person sees of the tool when they approve its calls: name, description, parameters and target.
    #[must_use]
    pub fn digest(&self) -> String {
        let ToolSpec { name, description, parameters } = &self.spec;
        let seen = json!({"name": name, "description": description, "parameters": parameters, "target": self.target});
        definition_digest(seen)
    }

    /// Returns `true` if a call asks a person instead of running.
    #[must_use]
    pub const fn asks(&self) -> bool {
        matches!(self.kind, ToolKind::AsksPerson)
    }

    /// Returns `true` if the client of the run carries out the calls.
    #[must_use]
    pub const fn is_of_client(&self) -> bool {
        matches!(self.kind, ToolKind::Client)
    }
}

impl fmt::Debug for ToolKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Runs(_) => "Runs",
            Self::Job(_) => "Job",
            Self::AsksPerson => "AsksPerson",
            Self::Client => "Client",
        })
    }
}
