//! Sign-in of a user to an MCP server (OAuth 2.1).

use axum::{extract::State, response::IntoResponse};
use sequent_core::{ExposeSecret as _, SecretString, Timestamp};
use sequent_http::{Json, Path, Problem, PublicOrigin, Reauthenticated, openapi::Problems};
use sequent_mcp_client::{BegunSignIn, Name, NewSignIn, Redirected};
use serde::Deserialize;
use url::{Host, Url};
use utoipa::ToSchema;

use crate::{App, servers::McpServerDetails};

const MAX_URL: usize = 2048;
const MAX_TEXT: usize = 4096;

/// A sign-in to begin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMcpSignIn {
    /// The page to which the user comes back, on the origin of this deployment or on the local machine.
    #[schema(format = "uri", max_length = 2048, example = "https://chat.example.com/mcp/signed-in")]
    redirect_uri: String,
    /// A client that was registered at the authorization server. Without it, a client is registered now.
    #[serde(default)]
    #[schema(pattern = "^[!-~]+$", min_length = 1, max_length = 4096)]
    client_id: Option<String>,
    /// The secret of that client, if it has one. It is stored encrypted and never shown.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^[!-~]+$", min_length = 1, max_length = 4096, write_only)]
    client_secret: Option<SecretString>,
}

/// The parameters with which the authorization server has redirected the user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct McpRedirect {
    #[schema(value_type = String, min_length = 1, max_length = 4096, write_only)]
    code: SecretString,
    #[schema(value_type = String, min_length = 1, max_length = 4096, write_only)]
    state: SecretString,
    /// The parameter `iss`, if there is one.
    #[serde(default)]
    #[schema(max_length = 2048)]
    iss: Option<String>,
}

/// Start the sign-in to an MCP server.
///
/// Open `authorization_url` in the user's browser. The authorization server then redirects it to `redirect_uri` with the
/// parameters to send with `PUT`. The sign-in belongs to the user who has begun it and ends after ten minutes. A server that
/// requires a sign-in is added with `enabled: false`.
#[utoipa::path(
    post,
    path = "/api/mcp-servers/{name}/authorize",
    operation_id = "start_mcp_sign_in",
    tag = "mcp",
    params(("name" = String, Path, description = "The name of the server.")),
    request_body = NewMcpSignIn,
    responses(
        (status = 200, description = "The address to open.", body = BegunSignIn),
        (status = 404, description = "The tenant has no such server."),
        (status = 422, description = "The server or its authorization server cannot be reached or used (`mcp_server_unreachable`). `detail` contains the reason."),
        Problems
    ),
)]
pub(crate) async fn begin(
    State(app): State<App>,
    Reauthenticated(caller): Reauthenticated,
    PublicOrigin(origin): PublicOrigin,
    Path(name): Path<Name>,
    Json(body): Json<NewMcpSignIn>,
) -> Result<impl IntoResponse, Problem> {
    let invalid =
        |at: &str, why: &str| Problem::invalid("The sign-in cannot be begun.").at(at, why.to_owned());
    if !is_own_page(&body.redirect_uri, &origin) {
        return Err(invalid("/redirect_uri", "must be a page of this deployment, or of the local machine"));
    }
    let is_plain = |text: &str| is_short(text) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let NewMcpSignIn { redirect_uri, client_id, client_secret } = body;
    let secret = client_secret.as_ref().map(|secret| secret.expose_secret());
    for (at, text) in [("/client_id", client_id.as_deref()), ("/client_secret", secret)] {
        if text.is_some_and(|text| !is_plain(text)) {
            return Err(invalid(at, "must have 1 to 4096 visible ASCII characters"));
        }
    }
    let new = NewSignIn { redirect_uri, client_id, client_secret };
    let beginning = app.servers.begin_sign_in(caller.tenant, caller.user, &name, new, Timestamp::now());
    Ok(Json::<BegunSignIn>(Box::pin(beginning).await?))
}

/// Complete the sign-in to an MCP server.
///
/// Stores the tokens encrypted, enables the server, and lists its tools. They are accepted as they are if none were accepted
/// before. Tokens are renewed until the sign-in ends, which `signed_in` shows.
#[utoipa::path(
    put,
    path = "/api/mcp-servers/{name}/authorize",
    operation_id = "complete_mcp_sign_in",
    tag = "mcp",
    params(("name" = String, Path, description = "The name of the server.")),
    request_body = McpRedirect,
    responses(
        (status = 200, description = "The server and its tools.", body = McpServerDetails),
        (status = 404, description = "The tenant has no such server."),
        (status = 422, description = "The caller has begun no such sign-in, or no token was granted (`mcp_server_unreachable`)."),
        Problems
    ),
)]
pub(crate) async fn finish(
    State(app): State<App>,
    Reauthenticated(caller): Reauthenticated,
    Path(name): Path<Name>,
    Json(body): Json<McpRedirect>,
) -> Result<impl IntoResponse, Problem> {
    let McpRedirect { code, state, iss: issuer } = body;
    for (at, text) in [("/code", code.expose_secret()), ("/state", state.expose_secret())] {
        if !is_short(text) {
            let why = format!("must have 1 to {MAX_TEXT} bytes");
            return Err(Problem::invalid("The sign-in cannot be finished.").at(at, why));
        }
    }
    let redirected = Redirected { code, state, issuer };
    let finishing =
        app.servers.finish_sign_in(caller.tenant, caller.user, &name, redirected, Timestamp::now());
    let (server, listing) = Box::pin(finishing).await?;
    Ok(Json(McpServerDetails { server, listing }))
}

fn is_short(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.len())
}

/// Returns `true` for a page of the deployment, or of a program on the user's machine (RFC 8252, section 7.3). A code that is
/// sent elsewhere could be that of a person who was made to allow it.
fn is_own_page(text: &str, origin: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    let is_plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    let is_own = url.origin().ascii_serialization() == origin;
    text.len() <= MAX_URL && is_plain && (is_own || (is_local && matches!(url.scheme(), "http" | "https")))
}
