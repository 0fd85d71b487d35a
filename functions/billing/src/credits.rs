//! How many credits there are.

use axum::extract::State;
use sequent_billing::{Account, Grant, Plan};
use sequent_core::{MicroCredits, Timestamp};
use sequent_http::{Caller, Json, Problem, Scope, openapi::Problems};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Billing;

/// A tenant's balances, in millionths of a credit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Credits {
    /// To be spent.
    #[schema(value_type = i64)]
    available: MicroCredits,
    /// Held for runs under way: what they do not use comes back when they end.
    #[schema(value_type = i64)]
    reserved: MicroCredits,
    /// Spent on runs.
    #[schema(value_type = i64)]
    spent: MicroCredits,
    /// Not spent in time.
    #[schema(value_type = i64)]
    expired: MicroCredits,
    /// Bought, or given with a plan, less what was refunded.
    #[schema(value_type = i64)]
    granted: MicroCredits,
    /// Given by administrators, less what they took.
    #[schema(value_type = i64)]
    adjusted: MicroCredits,
    /// What is left, in the order in which it is spent.
    grants: Vec<Left>,
    /// Runs that hold credits.
    runs_under_way: usize,
    /// The plan's name.
    plan: String,
    /// What the plan allows.
    entitlements: Plan,
    /// Why nothing may be spent, if it may not.
    frozen: Option<String>,
}

/// What is left of a grant.
#[derive(Debug, Serialize, ToSchema)]
struct Left {
    #[schema(value_type = i64)]
    left: MicroCredits,
    /// Null if it does not expire.
    expires_at: Option<Timestamp>,
}

/// Get the credits.
#[utoipa::path(
    get,
    path = "/api/billing/credits",
    operation_id = "get_credits",
    tag = "billing",
    responses(
        (status = 200, description = "The balances, and what the plan allows.", body = Credits),
        (status = 404, description = "The deployment has no billing."),
        Problems
    ),
)]
pub(crate) async fn credits(
    State(billing): State<Billing>,
    Caller(caller): Caller,
) -> Result<Json<Credits>, Problem> {
    caller.require(Scope::Account)?;
    let terms = billing.terms()?;
    let ledger = billing.desk.ledger(caller.tenant);
    let (account, now) = (ledger.account(terms).await?, Timestamp::now());
    let account = if account.next_expiry <= now.millis() { ledger.expire(now).await? } else { account };
    let entitlements = terms.plans.get(&account.plan).clone();
    Ok(Json(Credits::of(account, entitlements)))
}

impl Credits {
    fn of(account: Account, entitlements: Plan) -> Self {
        let mut untaken = account.untaken;
        let left = |grant: &Grant| {
            // What was spent since the grants were last looked at comes from the first of them.
            let taken = untaken.min(grant.left);
            untaken -= taken;
            let expires_at =
                (grant.expires != sequent_billing::NEVER).then(|| Timestamp::from_millis(grant.expires));
            Left { left: grant.left - taken, expires_at }
        };
        let grants =
            account.grants.iter().map(left).filter(|grant| grant.left > MicroCredits::ZERO).collect();
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
