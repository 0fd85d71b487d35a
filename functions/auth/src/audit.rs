//! The audit trail of the caller's tenant.

use sequent_http::{
    Caller, Json, ListQuery, ListResponse, Problem, Query, Scope,
    axum::{extract::State, response::IntoResponse},
    openapi::Problems,
};
use sequent_identity::audit::RecordedEntry;
use sequent_tables::key;

use crate::{App, signed_in::NO_STORE};

pub(crate) type AuditEntryList = ListResponse<RecordedEntry>;

/// List the audit trail.
///
/// The trail records sign-ins, ended sessions, API keys, passwords, what the operator did to the account, and changes of
/// its credits and plan. Entries are kept for 400 days.
#[utoipa::path(
    get,
    path = "/api/audit",
    operation_id = "list_audit_entries",
    tag = "auth",
    params(ListQuery),
    responses((status = 200, description = "One page, newest first.", body = AuditEntryList), Problems),
)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    let secret = app.identity.vault().get().await?;
    let request = query.page_of(key::audit_trail(caller.tenant), secret.cursor())?;
    let page = app.identity.audit_trail(&request).await?;
    Ok((NO_STORE, Json(AuditEntryList::new(page, secret.cursor()))))
}
