//! Giving and taking credits, for whoever operates the deployment.

use axum::{extract::State, response::IntoResponse};
use http::{HeaderMap, StatusCode};
use sequent_billing::{Cause, Outcome};
use sequent_core::{MicroCredits, TenantId};
use sequent_http::{Caller, Json, Problem, openapi::Problems};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::Billing;

/// The most that one adjustment moves: a slip of the pen is no fortune.
const MOST: i64 = 1_000_000_000_000;

/// An adjustment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Adjustment {
    /// Whose credits.
    tenant_id: TenantId,
    /// How many are given, or taken if it is negative, in millionths of a credit. No more is taken than there is.
    #[schema(value_type = i64)]
    amount: MicroCredits,
    /// Why: 1 to 500 characters.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// Names the adjustment, in 1 to 100 visible ASCII characters. The same one again is the same adjustment.
    #[schema(min_length = 1, max_length = 100)]
    key: String,
}

/// Adjust a tenant's credits.
#[utoipa::path(
    post,
    path = "/api/admin/billing/adjustments",
    operation_id = "adjust_credits",
    tag = "billing",
    request_body = Adjustment,
    security(("adminKey" = [])),
    responses(
        (status = 201, description = "What was posted.", body = sequent_billing::Posting),
        (status = 204, description = "It was posted before."),
        (status = 404, description = "There is no such tenant, or the deployment has no billing."),
        Problems
    ),
)]
pub(crate) async fn adjust(
    State(billing): State<Billing>,
    caller: Option<Caller>,
    headers: HeaderMap,
    Json(new): Json<Adjustment>,
) -> Result<impl IntoResponse, Problem> {
    match headers.get("x-admin-key").map(http::HeaderValue::as_bytes) {
        Some(key) if billing.vault.get().await?.is_admin_key(key) => {}
        Some(_) => return Err(Problem::unauthenticated(true)),
        None if caller.is_none() => return Err(Problem::unauthenticated(false)),
        None => {
            let detail = "Only whoever operates the deployment may do this, with `X-Admin-Key`.";
            return Err(Problem::forbidden("not_an_admin", detail));
        }
    }
    let terms = billing.terms()?;
    let invalid = |at: &str, why: String| Err(Problem::invalid("The adjustment cannot be made.").at(at, why));
    if new.amount == MicroCredits::ZERO || !(-MOST..=MOST).contains(&new.amount.0) {
        return invalid("/amount", format!("must be other than 0, and at most {MOST} either way"));
    }
    if !(1..=500).contains(&new.reason.trim().chars().count()) {
        return invalid("/reason", "must have 1 to 500 characters".to_owned());
    }
    if !(1..=100).contains(&new.key.len()) || !new.key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return invalid("/key", "must have 1 to 100 visible ASCII characters".to_owned());
    }
    if !billing.desk.knows(new.tenant_id).await? {
        return Err(Problem::not_found("There is no such tenant."));
    }
    let ledger = billing.desk.ledger(new.tenant_id);
    ledger.account(terms).await?;
    let cause = Cause::Admin { key: new.key, reason: new.reason };
    Ok(match ledger.adjust(cause, new.amount).await? {
        Outcome::Posted(posting) => (StatusCode::CREATED, Json(posting)).into_response(),
        Outcome::Known => StatusCode::NO_CONTENT.into_response(),
    })
}
