//! Whose jobs a caller may see and steer.
//!
//! A signed-in caller has to do with the own tenant's jobs and no others: to read them takes `runs:read`, to steer them
//! the scope `account` and the role of an owner. Whoever has the deployment's own key, sent as `X-Admin-Key`, operates it:
//! any tenant's jobs, and those of [`TenantId::SYSTEM`], which belong to no tenant.

use axum::extract::FromRequestParts;
use http::{HeaderMap, request::Parts};
use sequent_core::TenantId;
use sequent_http::{Caller, Principal, Problem, Scope};
use sequent_identity::account::{Role, User};
use sequent_tables::key;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::Background;

/// The header that carries the deployment's own key.
const ADMIN_KEY: &str = "x-admin-key";

/// Which tenant's jobs are meant.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    /// With `X-Admin-Key`: the tenant whose jobs are meant. Without it those of the deployment itself, among them messages
    /// that nobody could read. Other callers mean their own.
    pub(crate) tenant_id: Option<TenantId>,
}

/// Who calls.
pub(crate) enum Access {
    /// Somebody who operates the deployment.
    Deployment,
    /// Somebody of a tenant.
    Tenant(Principal),
}

impl FromRequestParts<Background> for Access {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, background: &Background) -> Result<Self, Problem> {
        let Some(presented) = admin_key(&parts.headers) else {
            let Caller(caller) = Caller::from_request_parts(parts, background).await?;
            return Ok(Self::Tenant(caller));
        };
        let secret = background.vault.get().await?;
        if secret.is_admin_key(presented) {
            return Ok(Self::Deployment);
        }
        Err(Problem::unauthenticated(true))
    }
}

fn admin_key(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(ADMIN_KEY).map(http::HeaderValue::as_bytes)
}

impl Access {
    /// The tenant whose jobs the caller may read.
    pub(crate) fn reads(&self, whose: Option<TenantId>) -> Result<TenantId, Problem> {
        match self {
            Self::Deployment => Ok(whose.unwrap_or(TenantId::SYSTEM)),
            Self::Tenant(caller) => {
                caller.require(Scope::RunsRead)?;
                own(caller, whose)
            }
        }
    }

    /// The tenant whose jobs the caller may enqueue, redrive and cancel.
    pub(crate) async fn steers(
        &self,
        background: &Background,
        whose: Option<TenantId>,
    ) -> Result<TenantId, Problem> {
        let caller = match self {
            Self::Deployment => return Ok(whose.unwrap_or(TenantId::SYSTEM)),
            Self::Tenant(caller) => caller,
        };
        caller.require(Scope::Account)?;
        let tenant = own(caller, whose)?;
        let user: Option<User> = background.storage.store().get(&key::user(tenant, caller.user)).await?;
        match user.map(|user| user.role) {
            Some(Role::Owner) => Ok(tenant),
            None => Err(Problem::forbidden("not_an_admin", "Only an owner of the tenant may do this.")),
        }
    }
}

fn own(caller: &Principal, whose: Option<TenantId>) -> Result<TenantId, Problem> {
    match whose {
        Some(other) if other != caller.tenant => Err(Problem::not_found("There is no such tenant.")),
        _ => Ok(caller.tenant),
    }
}
