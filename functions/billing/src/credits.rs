//! The balances of a tenant.

use axum::extract::State;
use sequent_billing::{Account, Grant, Plan};
use sequent_core::{MicroCredits, Timestamp};
use sequent_http::{Caller, Json, Problem, openapi::Problems};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;

/// The balances of a tenant in millionths of a credit, and its plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreditBalance {
    /// Credits that can be spent.
    #[schema(value_type = i64)]
    available: MicroCredits,
    /// Credits held for live runs. The unused part is released when a run ends.
    #[schema(value_type = i64)]
    reserved: MicroCredits,
    /// Credits spent on runs.
    #[schema(value_type = i64)]
    spent: MicroCredits,
    /// Credits that expired before they were spent.
    #[schema(value_type = i64)]
    expired: MicroCredits,
    /// Credits that were bought or came with a plan, minus refunds.
    #[schema(value_type = i64)]
    granted: MicroCredits,
    /// Credits given by the operator, minus those taken.
    #[schema(value_type = i64)]
    adjusted: MicroCredits,
    /// The unspent grants, in the order in which they are spent.
    grants: Vec<UnspentGrant>,
    /// Number of live runs that hold credits.
    runs_under_way: usize,
    /// Name of the plan.
    plan: String,
    /// The limits of the plan.
    entitlements: Plan,
    /// The reason why no credits can be spent; null if they can.
    frozen: Option<String>,
}

/// The unspent part of a grant.
#[derive(Debug, Serialize, ToSchema)]
struct UnspentGrant {
    #[schema(value_type = i64)]
    left: MicroCredits,
    /// Null if it does not expire.
    expires_at: Option<Timestamp>,
}

/// Get the credits.
///
/// Returns the balances and the limits of the plan.
#[utoipa::path(
    get,
    path = "/api/billing/credits",
    operation_id = "get_credits",
    tag = "billing",
    responses(
        (status = 200, description = "The balances, and the limits of the plan.", body = CreditBalance),
        (status = 404, description = "The deployment has no billing."),
        Problems
    ),
)]
pub(crate) async fn get_credits(
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<Json<CreditBalance>, Problem> {
    let terms = app.terms()?;
    let ledger = app.credits.ledger(caller.tenant);
    let now = Timestamp::now();
    let account = ledger.account(terms).await?;
    let account = if account.next_expiry <= now.millis() { ledger.expire(now).await? } else { account };
    let entitlements = terms.plans.get(&account.plan).clone();
    Ok(Json(CreditBalance::of(account, entitlements)))
}

impl CreditBalance {
    fn of(account: Account, entitlements: Plan) -> Self {
        let mut untaken = account.untaken;
        let unspent = |grant: &Grant| {
            // Credits that were spent since the grants were last updated are taken from the first grants.
            let taken = untaken.min(grant.left);
            untaken -= taken;
            let expires_at =
                (grant.expires != sequent_billing::NEVER).then(|| Timestamp::from_millis(grant.expires));
            UnspentGrant { left: grant.left - taken, expires_at }
        };
        let grants =
            account.grants.iter().map(unspent).filter(|grant| grant.left > MicroCredits::ZERO).collect();
        Self {
            available: account.available,
            reserved: account.reserved,
            spent: account.spent,
            expired: account.expired,
            granted: account.granted,
            adjusted: account.adjusted,
            grants,
            runs_under_way: account.holds.len(),
            frozen: account.why_frozen().map(str::to_owned),
            plan: account.plan,
            entitlements,
        }
    }
}
