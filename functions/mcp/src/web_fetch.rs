//! The web pages that a tenant's agents may read.

use axum::{extract::State, response::IntoResponse};
use sequent_http::{Caller, Json, Problem, Reauthenticated, openapi::Problems};
use sequent_tables::{Row, key};
use sequent_tool::{WebAccess, web_fetch::HostPattern};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::App;

const MAX_HOSTS: usize = 100;

/// The web pages that the tenant's agents may read with `web_fetch`. It can only narrow what the deployment allows.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebFetchSetting {
    mode: WebFetchMode,
    /// With `allowlist`: host names such as `example.com`, or `*.example.com` for all names below it.
    #[serde(default)]
    #[schema(value_type = Vec<HostName>, max_items = 100, example = json!(["example.com", "*.example.org"]))]
    hosts: Vec<String>,
}

/// A host name such as `example.com`, or `*.example.com` for all names below it.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = r"^([*][.])?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*[.][A-Za-z]+$")]
#[expect(dead_code, reason = "only the schema is used: the domain checks the text")]
struct HostName(String);

/// The extent of the pages.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WebFetchMode {
    /// Every page that the deployment allows.
    On,
    /// No page of the web.
    Off,
    /// Pages of the `hosts` alone.
    Allowlist,
}

impl From<WebAccess> for WebFetchSetting {
    fn from(access: WebAccess) -> Self {
        let mode = match access {
            WebAccess::On => WebFetchMode::On,
            WebAccess::Off => WebFetchMode::Off,
            WebAccess::Allowlist { .. } => WebFetchMode::Allowlist,
        };
        let hosts = match access {
            WebAccess::Allowlist { hosts } => hosts.into_iter().map(String::from).collect(),
            WebAccess::On | WebAccess::Off => Vec::new(),
        };
        Self { mode, hosts }
    }
}

impl WebFetchSetting {
    fn access(self) -> Result<WebAccess, Problem> {
        let invalid = |at: &str, why: String| {
            Problem::invalid("The setting of `web_fetch` is not allowed.").at(at, why)
        };
        match self.mode {
            WebFetchMode::On | WebFetchMode::Off if !self.hosts.is_empty() => {
                Err(invalid("/hosts", "must be empty unless `mode` is `allowlist`".to_owned()))
            }
            WebFetchMode::On => Ok(WebAccess::On),
            WebFetchMode::Off => Ok(WebAccess::Off),
            WebFetchMode::Allowlist if !(1..=MAX_HOSTS).contains(&self.hosts.len()) => {
                Err(invalid("/hosts", format!("must have 1 to {MAX_HOSTS} items")))
            }
            WebFetchMode::Allowlist => {
                let pattern = |item: (usize, String)| {
                    let at = format!("/hosts/{}", item.0);
                    HostPattern::try_from(item.1).map_err(|error| invalid(&at, error.to_string()))
                };
                let hosts = self.hosts.into_iter().enumerate().map(pattern);
                Ok(WebAccess::Allowlist { hosts: hosts.collect::<Result<_, _>>()? })
            }
        }
    }
}

/// Get the setting of `web_fetch`.
#[utoipa::path(
    get,
    path = "/api/web-fetch",
    operation_id = "get_web_fetch",
    tag = "mcp",
    responses((status = 200, description = "The setting.", body = WebFetchSetting), Problems),
)]
pub(crate) async fn get(
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<impl IntoResponse, Problem> {
    let access: Option<WebAccess> = app.store().get(&key::web_access(caller.tenant)).await?;
    Ok(Json(WebFetchSetting::from(access.unwrap_or_default())))
}

/// Update the setting of `web_fetch`.
///
/// Limits the web pages that the tenant's agents may read, from their next call on. A page must be allowed by the
/// deployment as well.
#[utoipa::path(
    put,
    path = "/api/web-fetch",
    operation_id = "update_web_fetch",
    tag = "mcp",
    request_body = WebFetchSetting,
    responses((status = 200, description = "The setting.", body = WebFetchSetting), Problems),
)]
pub(crate) async fn set(
    State(app): State<App>,
    Reauthenticated(caller): Reauthenticated,
    Json(body): Json<WebFetchSetting>,
) -> Result<impl IntoResponse, Problem> {
    let access = body.access()?;
    app.store().put(Row::new(&key::web_access(caller.tenant), &access)?).await?;
    Ok(Json(WebFetchSetting::from(access)))
}
