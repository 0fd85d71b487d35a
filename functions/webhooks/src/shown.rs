//! A hook as the API shows it.

use sequent_conversation::OnConflict;
use sequent_core::{ExposeSecret as _, HookId, ProjectId, Timestamp, UserId};
use sequent_definitions::AgentReference;
use sequent_hooks::{Hook, HookInput, HookName, HookProject, HookRefusal, HookRun, IssuedHook};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A hook, with what has become of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownHook {
    id: HookId,
    name: HookName,
    /// Requests to its address start runs.
    enabled: bool,
    /// The agent that does the task. The default agent of the tenant, if there is one, if null.
    agent: Option<AgentReference>,
    /// The task, with which the message of each run begins.
    input: HookInput,
    /// The values of variables in the instructions of the agent.
    #[schema(value_type = Object)]
    variables: Map<String, Value>,
    project: HookProject,
    /// The policy for a project that has a live run.
    on_conflict: OnConflict,
    /// Requests must be signed as Standard Webhooks specifies.
    signed: bool,
    /// The first characters of the token in its address.
    #[schema(example = "hk_9aB3xQ")]
    token_prefix: String,
    /// The project of the runs, if they continue one and there was a run.
    project_id: Option<ProjectId>,
    /// The user in whose name the runs are started: the one who created the hook, changed it or replaced its token last.
    user_id: UserId,
    /// The number of runs that were started.
    calls: u64,
    /// The time of the last call that started a run.
    last_called_at: Option<Timestamp>,
    /// The last runs, at most ten, the latest first.
    runs: Vec<HookRun>,
    /// The number of calls that were refused although their token is right.
    refusals: u64,
    /// The last of the refused calls.
    last_refusal: Option<HookRefusal>,
    created_at: Timestamp,
    /// The time of the last change by a person.
    updated_at: Timestamp,
}

/// A hook with its new address.
#[derive(Serialize, ToSchema)]
pub(crate) struct HookWithUrl {
    #[serde(flatten)]
    hook: ShownHook,
    /// The address. Its last part is a secret, which is not shown again.
    #[schema(format = "uri", example = "https://chat.example.com/api/hooks/hk_9aB3xQ")]
    url: String,
    /// The secret with which requests must be signed. It is not shown again. Null if it is not new, or requests need no signature.
    secret: Option<String>,
}

impl HookWithUrl {
    /// The hook at the public address of the deployment.
    pub(crate) fn new(issued: IssuedHook, origin: &str) -> Self {
        let IssuedHook { hook, token, secret } = issued;
        Self {
            hook: hook.into(),
            url: format!("{origin}/api/hooks/{}", token.expose()),
            secret: secret.map(|secret| secret.text().expose_secret().to_owned()),
        }
    }

    pub(crate) fn id(&self) -> HookId {
        self.hook.id
    }
}

impl From<Hook> for ShownHook {
    fn from(hook: Hook) -> Self {
        let signed = hook.is_signed();
        let spec = hook.spec;
        Self {
            id: hook.id,
            name: spec.name,
            enabled: spec.enabled,
            agent: spec.agent,
            input: spec.input,
            variables: spec.variables,
            project: spec.project,
            on_conflict: spec.on_conflict,
            signed,
            token_prefix: hook.token_prefix,
            project_id: hook.project_id.filter(|_| spec.project == HookProject::Same),
            user_id: hook.user_id,
            calls: hook.calls,
            last_called_at: hook.runs.first().map(|run| run.at),
            runs: hook.runs,
            refusals: hook.refusals,
            last_refusal: hook.last_refusal,
            created_at: hook.created_at,
            updated_at: hook.updated_at,
        }
    }
}
