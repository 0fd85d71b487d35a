//! Changes of a hook.

use sequent_conversation::OnConflict;
use sequent_core::{Principal, Timestamp};
use sequent_definitions::AgentReference;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::{Error, Hook, HookInput, HookName, HookProject};

/// A change of a hook. What is absent stays as it is.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HookChange {
    /// `false` has requests answered as if there were no hook.
    pub enabled: Option<bool>,
    /// The name, for people.
    pub name: Option<HookName>,
    /// The agent. The default agent of the tenant if null.
    #[serde(deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<AgentReference>))]
    pub agent: Option<Option<AgentReference>>,
    /// The task of each run.
    pub input: Option<HookInput>,
    /// The values of variables in the instructions of the agent. They replace all that were set.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub variables: Option<Map<String, Value>>,
    /// The conversation of the runs.
    pub project: Option<HookProject>,
    /// The policy for a project that has a live run.
    pub on_conflict: Option<OnConflict>,
    /// `true` demands signed requests, with `secret` if the hook has demanded none before.
    pub signed: Option<bool>,
    /// The secret that the sender signs with: `whsec_` and base 64 of 24 to 64 bytes.
    #[cfg_attr(feature = "openapi", schema(max_length = 200, write_only))]
    pub secret: Option<String>,
}

/// Reads a member that may be null. It is `None` only if it is absent.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    member: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(member).map(Some)
}

impl HookChange {
    /// Returns `true` if the change disables the hook, and does nothing else.
    #[must_use]
    pub fn only_disables(&self) -> bool {
        *self == Self { enabled: Some(false), ..Self::default() }
    }
}

impl Hook {
    /// The hook with a change by `caller`, apart from its secret. Unless it is only disabled, the runs are the caller's from now
    /// on, with the scopes of the caller's credential.
    ///
    /// # Errors
    /// [`Error::Scope`].
    pub fn changed(&self, change: &HookChange, caller: &Principal, now: Timestamp) -> Result<Self, Error> {
        let mut next = self.clone();
        let spec = &mut next.spec;
        set(&mut spec.enabled, change.enabled);
        set(&mut spec.name, change.name.clone());
        set(&mut spec.agent, change.agent.clone());
        set(&mut spec.input, change.input.clone());
        set(&mut spec.variables, change.variables.clone());
        set(&mut spec.project, change.project);
        set(&mut spec.on_conflict, change.on_conflict);
        next.updated_at = now;
        if !change.only_disables() {
            next.spec.authorise(caller)?;
            next.take_over(caller);
        }
        Ok(next)
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
