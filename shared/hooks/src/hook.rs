//! A hook as the table stores it.

use sequent_core::{
    ApiKeyId, Code, HookId, Principal, ProjectId, RunId, Scopes, TenantId, Timestamp, UserId,
};
use sequent_identity::token::HookToken;
use serde::{Deserialize, Serialize};

use crate::HookSpec;

/// The number of runs that a hook remembers.
const RECENT: usize = 10;

/// A hook: what people chose, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The id, by creation time.
    pub id: HookId,
    /// The part that people choose.
    pub spec: HookSpec,
    /// The user in whose name the runs are started: the one who created the hook, changed it or replaced its token last.
    pub user_id: UserId,
    /// The scopes of that user's credential. All scopes if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Scopes>,
    /// The API key of that request. Without it no run is started. Absent if the user was signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKeyId>,
    /// The first characters of the token.
    pub token_prefix: String,
    /// The SHA-256 of the token, by which the other row is found.
    pub(crate) digest: String,
    /// The sealed secret that requests must be signed with, if they must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sealed_secret: Option<String>,
    /// The project of the runs, if they continue one and there was a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// The number of runs that were started.
    #[serde(default)]
    pub calls: u64,
    /// The last runs, at most ten, the latest first. Of runs that start at the same moment, one may be missing.
    #[serde(default)]
    pub runs: Vec<HookRun>,
    /// The number of calls that were refused although their token is right.
    #[serde(default)]
    pub refusals: u64,
    /// The last of the refused calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_refusal: Option<HookRefusal>,
    /// The number of changes by people. Each change requires the number that was read.
    pub revision: u64,
    /// The time of the creation.
    pub created_at: Timestamp,
    /// The time of the last change by a person.
    pub updated_at: Timestamp,
}

/// A run that a hook started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct HookRun {
    pub run_id: RunId,
    pub at: Timestamp,
}

/// A call that was refused although its token is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HookRefusal {
    /// The code of the problem that the sender was sent.
    pub code: String,
    #[expect(missing_docs, reason = "plain data")]
    pub at: Timestamp,
}

/// The row of a hook that is found by its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HookGrant {
    pub(crate) id: HookId,
    pub(crate) tenant: TenantId,
}

impl Hook {
    /// A new hook of the caller that nothing has called.
    pub(crate) fn new(caller: &Principal, spec: HookSpec, token: &HookToken, now: Timestamp) -> Self {
        Self {
            id: HookId::new(),
            spec,
            user_id: caller.user,
            scopes: caller.scopes.restriction(),
            api_key: caller.api_key,
            token_prefix: token.display_prefix().to_owned(),
            digest: token.digest(),
            sealed_secret: None,
            project_id: None,
            calls: 0,
            runs: Vec::new(),
            refusals: 0,
            last_refusal: None,
            revision: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Has the runs started in the name of the caller, with the credential of the caller's request.
    pub(crate) fn take_over(&mut self, caller: &Principal) {
        self.user_id = caller.user;
        self.scopes = caller.scopes.restriction();
        self.api_key = caller.api_key;
    }

    /// The scopes with which its runs are started.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        self.scopes.unwrap_or(Scopes::ALL)
    }

    /// Returns `true` if requests must be signed.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        self.sealed_secret.is_some()
    }

    /// Returns the last runs after the start of another one.
    pub(crate) fn runs_with(&self, run_id: RunId, at: Timestamp) -> Vec<HookRun> {
        let before = self.runs.iter().copied().take(RECENT - 1);
        std::iter::once(HookRun { run_id, at }).chain(before).collect()
    }
}

impl HookRefusal {
    pub(crate) fn new(code: Code, at: Timestamp) -> Self {
        Self { code: code.to_string(), at }
    }
}
