//! The tenants whose jobs a caller may read and manage.
//!
//! A signed-in caller may use only the jobs of its own tenant; managing them needs the role of an owner. The operator of the deployment sends the admin key as
//! `X-Admin-Key` and may use the jobs of every tenant, and those of [`TenantId::SYSTEM`], which belong to the
//! deployment itself.

use axum::extract::FromRequestParts;
use http::request::Parts;
use sequent_core::{Code, Principal, TenantId};
use sequent_http::{Caller, Operator, Problem};
use sequent_identity::account::{User, UserRole};
use sequent_tables::key;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::App;

/// The query parameter that selects a tenant.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantQuery {
    /// With `X-Admin-Key`: the tenant of the jobs. Without it the jobs of the deployment itself, which
    /// include messages that could not be read. Other callers can only name their own tenant.
    pub(crate) tenant_id: Option<TenantId>,
}

/// The caller of a route that also accepts the admin key.
pub(crate) enum Access {
    Operator,
    Tenant(Principal),
}

impl FromRequestParts<App> for Access {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if Option::<Operator>::from_request_parts(parts, app).await?.is_some() {
            return Ok(Self::Operator);
        }
        let Caller(caller) = Caller::from_request_parts(parts, app).await?;
        Ok(Self::Tenant(caller))
    }
}

impl Access {
    /// Returns the tenant whose jobs the caller reads.
    pub(crate) fn to_read(&self, tenant: Option<TenantId>) -> Result<TenantId, Problem> {
        match self {
            Self::Operator => Ok(tenant.unwrap_or(TenantId::SYSTEM)),
            Self::Tenant(caller) => own_tenant(caller, tenant),
        }
    }

    /// Returns the tenant whose jobs the caller enqueues, redrives or cancels.
    pub(crate) async fn to_manage(&self, app: &App, tenant: Option<TenantId>) -> Result<TenantId, Problem> {
        let caller = match self {
            Self::Operator => return Ok(tenant.unwrap_or(TenantId::SYSTEM)),
            Self::Tenant(caller) => caller,
        };
        let tenant = own_tenant(caller, tenant)?;
        let user: Option<User> = app.store().get(&key::user(tenant, caller.user)).await?;
        match user.map(|user| user.role) {
            Some(UserRole::Owner) => Ok(tenant),
            None => Err(Problem::new(Code::NotAnAdmin, "Only an owner of the tenant can do this.")),
        }
    }
}

fn own_tenant(caller: &Principal, tenant: Option<TenantId>) -> Result<TenantId, Problem> {
    match tenant {
        Some(other) if other != caller.tenant => Err(Problem::not_found("There is no tenant with this id.")),
        _ => Ok(caller.tenant),
    }
}
