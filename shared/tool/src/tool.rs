//! A tool, as the model sees it and as the agent must treat it.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use sequent_model::ToolSpec;
use serde_json::Value;

use crate::{Call, Error, Output};

/// A tool. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tool {
    /// What the model sees.
    pub spec: ToolSpec,
    /// Whether a call may be repeated with the same idempotency key without a second effect. Decides what a crash or a
    /// timeout means: another try, or a question to a person.
    pub idempotent: bool,
    /// Whether a person must agree to each call.
    pub needs_approval: bool,
    /// How long a call may take.
    pub timeout: Duration,
    /// The most that the model gets to read of a result.
    pub max_result_bytes: usize,
    /// What the caller of the run must be allowed to do.
    pub scope: Option<&'static str>,
    /// What a call is.
    pub kind: Kind,
}

/// What a call of a tool is.
#[derive(Clone)]
pub enum Kind {
    /// Something runs and gives a result.
    Runs(Arc<dyn Handler>),
    /// A job in the background, of this type: the arguments are its input. For what may outlast an invocation: the run
    /// gives up its process and goes on with the job's result.
    Job(&'static str),
    /// The run stops until a person has answered; the arguments are an [`ask_user::Question`](crate::ask_user::Question).
    AsksPerson,
}

/// What runs. The seam to the foreign: a page of the web, a tenant's own server.
pub trait Handler: Send + Sync {
    /// Makes the call. Dropping the future gives the call up. Whoever implements it may panic or never return:
    /// [`run`](crate::run()) takes care of both.
    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Output, Error>>;
}

impl Tool {
    /// Unless a tool says otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(30);
    /// Unless a tool says otherwise.
    pub const MAX_RESULT_BYTES: usize = 64 << 10;

    /// A tool about which nothing reassuring is known: not idempotent. It needs no approval and no scope.
    pub fn new(
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: Value,
        kind: Kind,
    ) -> Self {
        Self {
            spec: ToolSpec { name: name.into(), description: description.into(), parameters },
            idempotent: false,
            needs_approval: false,
            timeout: Self::TIMEOUT,
            max_result_bytes: Self::MAX_RESULT_BYTES,
            scope: None,
            kind,
        }
    }

    /// Whether a call interrupts the run instead of running.
    #[must_use]
    pub const fn asks(&self) -> bool {
        matches!(self.kind, Kind::AsksPerson)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Runs(_) => "Runs",
            Self::Job(_) => "Job",
            Self::AsksPerson => "AsksPerson",
        })
    }
}
