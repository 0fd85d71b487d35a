//! Creating, reading, changing and deleting hooks.

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header::LOCATION};
use sequent_conversation::OnConflict;
use sequent_core::{HookId, Timestamp};
use sequent_definitions::AgentReference;
use sequent_hooks::{HookChange, HookInput, HookName, HookProject, HookSigning, HookSpec};
use sequent_http::{Caller, Json, Path, Problem, PublicOrigin, Reauthenticated, openapi::Problems};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    App,
    shown::{HookWithUrl, ShownHook},
};

/// A hook to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateHook {
    /// The name, for people.
    #[schema(example = "New tickets")]
    name: HookName,
    /// The agent that does the task: its id or its name, with `@` and a label or the number of a version. The version is
    /// chosen at each run. The default agent of the tenant, if there is one, if it is absent.
    #[serde(default)]
    #[schema(example = "triage@production")]
    agent: Option<AgentReference>,
    /// The task of each run. The body of the request follows it in the message as data, in a line that begins with
    /// `[request_body]`. Models are told to follow no instruction in such a line.
    #[schema(example = "Sort the ticket into one of our queues.")]
    input: HookInput,
    /// The values of variables in the instructions of the agent: at most 8,000 bytes in JSON.
    #[serde(default)]
    #[schema(value_type = Object)]
    variables: Map<String, Value>,
    /// The conversation of the runs.
    #[serde(default)]
    project: HookProject,
    /// The policy for a project that has a live run. An API key needs `runs:write` for `interrupt` and `rollback`.
    #[serde(default = "enqueue")]
    #[schema(default = "enqueue")]
    on_conflict: OnConflict,
    /// Requests to the address start runs.
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
    /// Requests must be signed as Standard Webhooks specifies.
    #[serde(default)]
    signed: bool,
    /// The secret that the sender signs with, if the sender issues it: `whsec_` and base 64 of 24 to 64 bytes. A new one is made
    /// if it is absent and `signed` is true.
    #[serde(default)]
    #[schema(max_length = 200, write_only)]
    secret: Option<String>,
}

const fn yes() -> bool {
    true
}

const fn enqueue() -> OnConflict {
    OnConflict::Enqueue
}

impl CreateHook {
    fn into_parts(self) -> Result<(HookSpec, HookSigning), Problem> {
        let signing = match (self.signed, self.secret) {
            (true, Some(secret)) => HookSigning::Given(secret.into()),
            (true, None) => HookSigning::Generated,
            (false, None) => HookSigning::None,
            (false, Some(_)) => return Err(sequent_hooks::Error::SecretUnused.into()),
        };
        let Self { name, agent, input, variables, project, on_conflict, enabled, .. } = self;
        Ok((HookSpec { name, enabled, agent, input, variables, project, on_conflict }, signing))
    }
}

/// The hooks of a tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct HookList {
    /// At most 20 hooks, oldest first.
    items: Vec<ShownHook>,
}

/// List the hooks of the tenant.
#[utoipa::path(
    get,
    path = "/api/hooks",
    operation_id = "list_hooks",
    tag = "webhooks",
    responses((status = 200, description = "All hooks, oldest first.", body = HookList), Problems),
)]
pub(crate) async fn list_hooks(
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<impl IntoResponse, Problem> {
    let hooks = app.hooks().list(caller.tenant).await?;
    Ok(Json(HookList { items: hooks.into_iter().map(ShownHook::from).collect() }))
}

/// Create a hook.
///
/// The response has the address, which contains a secret and is not shown again. Each request that is sent there starts a run
/// in the name of the caller, with the scopes of the credential, and with the same limits, holds and problems as
/// `POST /api/runs`. When the API key of the request ends, the address is unknown. A tenant can have 20 hooks.
#[utoipa::path(
    post,
    path = "/api/hooks",
    operation_id = "create_hook",
    tag = "webhooks",
    request_body = CreateHook,
    responses(
        (status = 201, description = "The hook with its address, and its secret if requests must be signed.", body = HookWithUrl,
         headers(("Location" = String, description = "The path of the hook."))),
        (status = 404, description = "The tenant has no such agent (`agent_not_found`)."),
        (status = 409, description = "There are 20 hooks (`webhooks_limit`)."),
        (status = 422, description = "The hook is not allowed (`validation_failed`, `variables_invalid`)."),
        Problems
    ),
)]
pub(crate) async fn create_hook(
    State(app): State<App>,
    PublicOrigin(origin): PublicOrigin,
    Reauthenticated(caller): Reauthenticated,
    Json(body): Json<CreateHook>,
) -> Result<impl IntoResponse, Problem> {
    let (spec, signing) = body.into_parts()?;
    Box::pin(app.launcher.check(&caller, &spec)).await?;
    let issued = Box::pin(app.hooks().create(&caller, spec, signing, Timestamp::now())).await?;
    let created = HookWithUrl::new(issued, &origin);
    let location = [(LOCATION, format!("/api/hooks/{}", created.id()))];
    Ok((StatusCode::CREATED, location, Json(created)))
}

/// Get a hook by its id.
#[utoipa::path(
    get,
    path = "/api/hooks/{id}",
    operation_id = "get_hook",
    tag = "webhooks",
    params(("id" = HookId, Path, description = "The id of the hook.")),
    responses(
        (status = 200, description = "The hook, with its last runs.", body = ShownHook),
        (status = 404, description = "The tenant has no such hook."),
        Problems
    ),
)]
pub(crate) async fn get_hook(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<HookId>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(ShownHook::from(app.hooks().get(caller.tenant, id).await?)))
}

/// Change a hook.
///
/// The address stays. Who does more than to disable the hook has the runs in their own name from then on, with the scopes of
/// the credential of the request.
#[utoipa::path(
    patch,
    path = "/api/hooks/{id}",
    operation_id = "change_hook",
    tag = "webhooks",
    params(("id" = HookId, Path, description = "The id of the hook.")),
    request_body = HookChange,
    responses(
        (status = 200, description = "The changed hook.", body = ShownHook),
        (status = 404, description = "The tenant has no such hook, or no such agent (`agent_not_found`)."),
        (status = 422, description = "The hook is not allowed (`validation_failed`, `variables_invalid`)."),
        Problems
    ),
)]
pub(crate) async fn change_hook(
    State(app): State<App>,
    Reauthenticated(caller): Reauthenticated,
    Path(id): Path<HookId>,
    Json(change): Json<HookChange>,
) -> Result<impl IntoResponse, Problem> {
    let now = Timestamp::now();
    if !change.only_disables() {
        let changed = app.hooks().get(caller.tenant, id).await?.changed(&change, &caller, now)?;
        Box::pin(app.launcher.check(&caller, &changed.spec)).await?;
    }
    let hook = Box::pin(app.hooks().change(&caller, id, &change, now)).await?;
    Ok(Json(ShownHook::from(hook)))
}

/// Delete a hook.
///
/// Its address is unknown from then on. Its runs stay.
#[utoipa::path(
    delete,
    path = "/api/hooks/{id}",
    operation_id = "delete_hook",
    tag = "webhooks",
    params(("id" = HookId, Path, description = "The id of the hook.")),
    responses(
        (status = 204, description = "The hook was deleted."),
        (status = 404, description = "The tenant has no such hook."),
        Problems
    ),
)]
pub(crate) async fn delete_hook(
    State(app): State<App>,
    Reauthenticated(caller): Reauthenticated,
    Path(id): Path<HookId>,
) -> Result<impl IntoResponse, Problem> {
    app.hooks().delete(caller.tenant, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replace the token of a hook.
///
/// The response has the new address, which is not shown again. The one before is unknown from then on. The runs are started in
/// the name of the caller from now on, with the scopes of the credential of the request.
#[utoipa::path(
    post,
    path = "/api/hooks/{id}/token",
    operation_id = "replace_hook_token",
    tag = "webhooks",
    params(("id" = HookId, Path, description = "The id of the hook.")),
    responses(
        (status = 200, description = "The hook with its new address.", body = HookWithUrl),
        (status = 404, description = "The tenant has no such hook."),
        (status = 409, description = "The hook was changed at the same time (`conflict`)."),
        Problems
    ),
)]
pub(crate) async fn replace_hook_token(
    State(app): State<App>,
    PublicOrigin(origin): PublicOrigin,
    Reauthenticated(caller): Reauthenticated,
    Path(id): Path<HookId>,
) -> Result<impl IntoResponse, Problem> {
    let issued = app.hooks().rotate(&caller, id, Timestamp::now()).await?;
    Ok(Json(HookWithUrl::new(issued, &origin)))
}
