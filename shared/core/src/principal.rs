//! The verified caller of a request, and the scopes of a credential.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{ApiError, ApiKeyId, Code, ErrorDetails, SessionId, TenantId, UserId};

/// The verified identity of a request. There is no other way to a [`TenantId`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The tenant that every key is built with.
    pub tenant: TenantId,
    /// The user. For an API key, the user who created it.
    pub user: UserId,
    /// The sign-in session of a cookie or bearer token.
    pub session: Option<SessionId>,
    /// The API key that was sent.
    pub api_key: Option<ApiKeyId>,
    /// The scopes of the credential.
    pub scopes: Scopes,
    /// The way in which the credential was sent.
    pub via: Via,
}

impl Principal {
    /// Requires that the credential has the scope.
    ///
    /// # Errors
    /// [`MissingScope`] if it does not.
    pub fn require(&self, scope: Scope) -> Result<(), MissingScope> {
        if self.scopes.contains(scope) { Ok(()) } else { Err(MissingScope(scope)) }
    }
}

/// The credential lacks this scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the credential lacks the scope `{0}`")]
pub struct MissingScope(pub Scope);

impl ApiError for MissingScope {
    fn details(&self) -> ErrorDetails {
        let Self(scope) = self;
        let detail = format!("The credential lacks the scope `{scope}`.");
        ErrorDetails::new(Code::InsufficientScope, detail).with("scope", scope.as_str())
    }
}

/// The way in which a credential was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// A cookie. Browsers send it on their own, so writes need a CSRF token.
    Cookie,
    /// `Authorization: Bearer` with an access token.
    Bearer,
    /// `Authorization: Bearer sk_...` or `x-api-key`.
    ApiKey,
}

/// One permission of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Scope {
    /// Read projects and messages.
    ProjectsRead,
    /// Create, change and delete projects.
    ProjectsWrite,
    /// Send messages, that is, start runs and spend money.
    Chat,
    /// Read runs and their events.
    RunsRead,
    /// Cancel runs, directly or by a message that interrupts or rolls back, and answer their questions.
    RunsWrite,
    /// Read agents and prompts.
    AgentsRead,
    /// Create, change and delete agents and prompts. Choosing an agent for a run needs `chat` only.
    AgentsWrite,
    /// Read the tools of the tenant and the policies for calls.
    ToolsRead,
    /// Create, change, try and delete tools, and change the policies for calls.
    ToolsWrite,
    /// Read schedules and their due times.
    SchedulesRead,
    /// Create, change, run and delete schedules, together with `chat`, because a schedule starts runs.
    SchedulesWrite,
    /// Read datasets and evaluations.
    EvaluationsRead,
    /// Create, extend and delete datasets and evaluations. Starting an evaluation needs `chat`, too.
    EvaluationsWrite,
    /// Read artifacts and their bytes.
    ArtifactsRead,
    /// Upload and delete artifacts, and have runs save them.
    ArtifactsWrite,
    /// Read webhooks, their deliveries, and hooks.
    WebhooksRead,
    /// Create, change and delete webhooks and hooks, and send deliveries again.
    WebhooksWrite,
    /// Manage sessions and API keys.
    Account,
    /// Approve tool calls in the place of a person. Only a key that was expressly made for this has it.
    Approvals,
}

impl Scope {
    /// Every scope, in the order of their names.
    pub const ALL: [Self; 19] = [
        Self::ProjectsRead,
        Self::ProjectsWrite,
        Self::Chat,
        Self::RunsRead,
        Self::RunsWrite,
        Self::AgentsRead,
        Self::AgentsWrite,
        Self::ToolsRead,
        Self::ToolsWrite,
        Self::SchedulesRead,
        Self::SchedulesWrite,
        Self::EvaluationsRead,
        Self::EvaluationsWrite,
        Self::ArtifactsRead,
        Self::ArtifactsWrite,
        Self::WebhooksRead,
        Self::WebhooksWrite,
        Self::Account,
        Self::Approvals,
    ];

    /// The name of the scope in tokens and APIs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProjectsRead => "projects:read",
            Self::ProjectsWrite => "projects:write",
            Self::Chat => "chat",
            Self::RunsRead => "runs:read",
            Self::RunsWrite => "runs:write",
            Self::AgentsRead => "agents:read",
            Self::AgentsWrite => "agents:write",
            Self::ToolsRead => "tools:read",
            Self::ToolsWrite => "tools:write",
            Self::SchedulesRead => "schedules:read",
            Self::SchedulesWrite => "schedules:write",
            Self::EvaluationsRead => "evaluations:read",
            Self::EvaluationsWrite => "evaluations:write",
            Self::ArtifactsRead => "artifacts:read",
            Self::ArtifactsWrite => "artifacts:write",
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
            Self::Account => "account",
            Self::Approvals => "approvals",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a scope")]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(UnknownScope)
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Scope {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .enum_values(Some(Self::ALL.map(Self::as_str)))
            .description(Some("One permission of a credential."))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Scope {}

/// A set of scopes. Serialises as a list of names. Names that this version does not know are dropped when read.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Scopes(u32);

impl Scopes {
    /// The empty set of scopes.
    pub const NONE: Self = Self(0);
    /// All scopes. A session has them.
    pub const ALL: Self = Self((1 << Scope::ALL.len()) - 1);

    /// Returns `true` if the scope is in the set.
    #[must_use]
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Returns the set with one more scope.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | (1 << scope as u8))
    }

    /// Returns `true` if the other set contains this one. An API key may not have more scopes than its creator.
    #[must_use]
    pub const fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Returns the set, or `None` if it is [`Scopes::ALL`]. Events and rows store this of a run's caller.
    #[must_use]
    pub fn restriction(self) -> Option<Self> {
        (self != Self::ALL).then_some(self)
    }

    /// Iterates over the scopes in the set.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |&scope| self.contains(scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_stored_as_its_name_and_a_set_as_a_list() {
        let set = Scopes::NONE.with(Scope::Chat).with(Scope::RunsRead);
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, r#"["chat","runs:read"]"#);
        assert_eq!(serde_json::from_str::<Scopes>(&json).unwrap(), set);
        assert_eq!(
            serde_json::from_str::<Scopes>(r#"["chat","from:the-future"]"#).unwrap(),
            Scopes::NONE.with(Scope::Chat)
        );
        assert_eq!(Scope::ALL.into_iter().collect::<Scopes>(), Scopes::ALL);
        assert!(set.is_within(Scopes::ALL) && !Scopes::ALL.is_within(set));
        assert_eq!(set.restriction(), Some(set));
        assert_eq!(Scopes::ALL.restriction(), None);
    }

    #[test]
    fn a_missing_scope_is_named() {
        let principal = Principal {
            tenant: TenantId::new(),
            user: UserId::new(),
            session: None,
            api_key: Some(ApiKeyId::new()),
            scopes: Scopes::NONE.with(Scope::Chat),
            via: Via::ApiKey,
        };
        assert!(principal.require(Scope::Chat).is_ok());
        let details = principal.require(Scope::Account).unwrap_err().details();
        assert_eq!(details.code, Code::InsufficientScope);
        assert_eq!(details.extensions["scope"], "account");
    }
}
