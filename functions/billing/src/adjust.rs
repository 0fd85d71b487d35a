//! Adjustments of credits by the operator of the deployment.

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_billing::{Cause, PostOutcome, Posting};
use sequent_core::{MicroCredits, TenantId};
use sequent_http::{Json, Operator, Problem, openapi::Problems};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::App;

/// The largest adjustment, so that a mistyped number does little harm.
const LARGEST: i64 = 1_000_000_000_000;

/// An adjustment of a tenant's credits.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Adjustment {
    tenant_id: TenantId,
    /// Millionths of a credit to give, or to take if negative. No more is taken than the tenant has.
    #[schema(value_type = i64, minimum = -1_000_000_000_000_i64, maximum = 1_000_000_000_000_i64)]
    amount: MicroCredits,
    /// The reason: 1 to 500 characters.
    #[schema(min_length = 1, max_length = 500, pattern = r"\S")]
    reason: String,
    /// Identifies the adjustment, in 1 to 100 visible ASCII characters. A second adjustment with the same key
    /// changes nothing.
    #[schema(min_length = 1, max_length = 100, pattern = "^[!-~]+$")]
    key: String,
}

/// Adjust the credits of a tenant.
///
/// Only the operator of the deployment can do this, with `X-Admin-Key`.
#[utoipa::path(
    post,
    path = "/api/admin/billing/adjustments",
    operation_id = "adjust_credits",
    tag = "billing",
    request_body = Adjustment,
    security(("adminKey" = [])),
    responses(
        (status = 201, description = "The posting.", body = Posting),
        (status = 204, description = "The adjustment was posted before."),
        (status = 404, description = "There is no such tenant, or the deployment has no billing."),
        Problems
    ),
)]
pub(crate) async fn adjust_credits(
    State(app): State<App>,
    _: Operator,
    Json(new): Json<Adjustment>,
) -> Result<impl IntoResponse, Problem> {
    let terms = app.terms()?;
    new.check()?;
    if !app.credits.knows(new.tenant_id).await? {
        return Err(Problem::not_found("There is no tenant with this id."));
    }
    let ledger = app.credits.ledger(new.tenant_id);
    ledger.account(terms).await?;
    let cause = Cause::Admin { key: new.key, reason: new.reason };
    Ok(match ledger.adjust(cause, new.amount).await? {
        PostOutcome::Posted(posting) => (StatusCode::CREATED, Json(posting)).into_response(),
        PostOutcome::Known => StatusCode::NO_CONTENT.into_response(),
    })
}

impl Adjustment {
    fn check(&self) -> Result<(), Problem> {
        let invalid = |at: &str, rule: String| {
            Err(Problem::invalid("A field of the adjustment is not allowed.").at(at, rule))
        };
        if self.amount == MicroCredits::ZERO || !(-LARGEST..=LARGEST).contains(&self.amount.0) {
            return invalid("/amount", format!("must be -{LARGEST} to {LARGEST}, and not 0"));
        }
        if !(1..=500).contains(&self.reason.trim().chars().count()) {
            return invalid("/reason", "must have 1 to 500 characters".to_owned());
        }
        if !(1..=100).contains(&self.key.len()) || !self.key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return invalid("/key", "must have 1 to 100 visible ASCII characters".to_owned());
        }
        Ok(())
    }
}
