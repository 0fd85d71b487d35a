//! The HTTP tools that a tenant's agents may call.

use axum::{extract::State, response::IntoResponse};
use http::{
    StatusCode,
    header::{CACHE_CONTROL, LOCATION},
};
use sequent_core::{ExposeSecret as _, Timestamp};
use sequent_http::{Caller, Json, Path, Problem, openapi::Problems};
use sequent_http_tools::{CallTrial, HttpTool, HttpToolChange, NewHttpTool, ToolName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::App;

/// The header of a response with a secret.
const NO_STORE: [(http::HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

/// The HTTP tools of a tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct HttpToolList {
    /// At most twenty tools, sorted by name.
    items: Vec<HttpTool>,
}

/// An HTTP tool with the secret that signs its requests. No other response contains the secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedHttpTool {
    #[serde(flatten)]
    tool: HttpTool,
    /// The secret of Standard Webhooks by which the server can verify that a request is a call of this tool.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    signing_secret: String,
}

/// A new signing secret. No other response contains it.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotatedSecret {
    /// The secret. Requests are signed with it from now on, and with the former one no more.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    signing_secret: String,
}

/// A call to try.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTrial {
    /// The arguments, as a model would send them.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"id": "1004"}))]
    arguments: Map<String, Value>,
}

/// List the HTTP tools of the tenant.
#[utoipa::path(
    get,
    path = "/api/tools",
    operation_id = "list_tools",
    tag = "agents",
    responses((status = 200, description = "All tools, sorted by name.", body = HttpToolList), Problems),
)]
pub(crate) async fn list_tools(
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(HttpToolList { items: app.tools.list(caller.tenant).await? }))
}

/// Create an HTTP tool.
///
/// Agents can call it from their next execution on: all that name it, and all that name no tools. Each call is one request to its
/// address, with the header `Idempotency-Key`, which is the same for each attempt at the call, and with the headers of Standard
/// Webhooks. The route takes no `Idempotency-Key`, because a repeated response would require that the signing secret is stored
/// readable; a repeated request is refused, because the name is taken.
#[utoipa::path(
    post,
    path = "/api/tools",
    operation_id = "create_tool",
    tag = "agents",
    request_body = NewHttpTool,
    responses(
        (status = 201, description = "The tool and its signing secret, which is shown only now.", body = CreatedHttpTool, headers(("Location" = String, description = "The path of the tool."))),
        (status = 409, description = "The name is taken (`tool_exists`), or there are twenty tools (`tools_limit`)."),
        Problems
    ),
)]
pub(crate) async fn create_tool(
    State(app): State<App>,
    Caller(caller): Caller,
    Json(body): Json<NewHttpTool>,
) -> Result<impl IntoResponse, Problem> {
    let creating = app.tools.create(caller.tenant, caller.user, body, Timestamp::now());
    let (tool, secret) = Box::pin(creating).await?;
    let location = [(LOCATION, format!("/api/tools/{}", tool.name))];
    let signing_secret = secret.expose_secret().to_owned();
    Ok((StatusCode::CREATED, location, NO_STORE, Json(CreatedHttpTool { tool, signing_secret })))
}

/// Get an HTTP tool.
#[utoipa::path(
    get,
    path = "/api/tools/{name}",
    operation_id = "get_tool",
    tag = "agents",
    params(("name" = String, Path, description = "The name of the tool.")),
    responses(
        (status = 200, description = "The tool.", body = HttpTool),
        (status = 404, description = "The tenant has no such tool."),
        Problems
    ),
)]
pub(crate) async fn get_tool(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<ToolName>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(app.tools.get(caller.tenant, &name).await?))
}

/// Change an HTTP tool.
///
/// A member that is absent stays as it is. A run sees the change from its next execution on; what a model was offered before is in the record of the
/// run.
#[utoipa::path(
    patch,
    path = "/api/tools/{name}",
    operation_id = "change_tool",
    tag = "agents",
    params(("name" = String, Path, description = "The name of the tool.")),
    request_body = HttpToolChange,
    responses(
        (status = 200, description = "The tool.", body = HttpTool),
        (status = 404, description = "The tenant has no such tool."),
        Problems
    ),
)]
pub(crate) async fn change_tool(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<ToolName>,
    Json(body): Json<HttpToolChange>,
) -> Result<impl IntoResponse, Problem> {
    let changing = app.tools.change(caller.tenant, &name, &body, Timestamp::now());
    Ok(Json(Box::pin(changing).await?))
}

/// Delete an HTTP tool and its secrets.
#[utoipa::path(
    delete,
    path = "/api/tools/{name}",
    operation_id = "delete_tool",
    tag = "agents",
    params(("name" = String, Path, description = "The name of the tool.")),
    responses(
        (status = 204, description = "The tool is deleted. A run that calls it is told that there is no such tool."),
        (status = 404, description = "The tenant has no such tool."),
        Problems
    ),
)]
pub(crate) async fn delete_tool(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<ToolName>,
) -> Result<impl IntoResponse, Problem> {
    app.tools.delete(caller.tenant, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Call an HTTP tool once.
///
/// Makes one request, as an agent would, without asking a person. A call that fails is reported in the response. The request
/// has its effect: the server cannot tell it from a call of an agent.
#[utoipa::path(
    post,
    path = "/api/tools/{name}/test",
    operation_id = "call_tool",
    tag = "agents",
    params(("name" = String, Path, description = "The name of the tool.")),
    request_body = NewTrial,
    responses(
        (status = 200, description = "The outcome of the call, which has taken at most 20 seconds.", body = CallTrial),
        (status = 404, description = "The tenant has no such tool."),
        Problems
    ),
)]
pub(crate) async fn test_tool(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<ToolName>,
    Json(body): Json<NewTrial>,
) -> Result<impl IntoResponse, Problem> {
    let arguments = Value::Object(body.arguments).to_string();
    let calling = app.tools.try_call(caller.tenant, &name, &arguments);
    Ok(Json(Box::pin(calling).await?))
}

/// Replace the signing secret of an HTTP tool.
#[utoipa::path(
    post,
    path = "/api/tools/{name}/secret",
    operation_id = "replace_tool_secret",
    tag = "agents",
    params(("name" = String, Path, description = "The name of the tool.")),
    responses(
        (status = 200, description = "The new secret, which is shown only now.", body = RotatedSecret),
        (status = 404, description = "The tenant has no such tool."),
        Problems
    ),
)]
pub(crate) async fn rotate_tool_secret(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<ToolName>,
) -> Result<impl IntoResponse, Problem> {
    let rotating = app.tools.rotate(caller.tenant, &name, Timestamp::now());
    let secret = Box::pin(rotating).await?;
    Ok((NO_STORE, Json(RotatedSecret { signing_secret: secret.expose_secret().to_owned() })))
}
