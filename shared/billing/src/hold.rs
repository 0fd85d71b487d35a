//! The credits of a run: held before it starts, settled when it has ended. Both are arithmetic in the account's row.

use std::collections::BTreeMap;

use sequent_core::{MicroCredits, MicroUsd, PostingId, ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_event::Hold;
use sequent_model::ModelName;
use sequent_tables::{Error as TableError, Key, Row, Store, Update, Write, attribute, exists, key};
use serde::Deserialize;

use crate::{
    Account, Cause, HoldLimits, LedgerAccount, LowCredits, Markup, Plan, Posting, Quota, Quote, Terms,
    hold_amount, low,
};

/// Returns `true` if credits are held for the run: by the account of its tenant, or by the quota of a tenant without billing.
///
/// # Errors
/// Returns an error if the table fails.
pub async fn is_held(store: &Store, tenant: TenantId, run: RunId) -> Result<bool, TableError> {
    let account: Option<Account> = store.get(&key::account(tenant)).await?;
    let quota: Option<Quota> = store.get(&key::quota(tenant)).await?;
    let by_account = account.is_some_and(|account| account.holds.contains_key(&run));
    let by_quota = quota.is_some_and(|quota| quota.holds.contains_key(&run));
    Ok(by_account || by_quota)
}

/// The reason why a run may not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The account has too few credits.
    #[error("the run needs {needed}, the account has {available}")]
    Insufficient {
        /// Smallest hold that the run needs.
        needed: MicroCredits,
        /// Credits that the account has.
        available: MicroCredits,
    },
    /// The request or the plan limits the run to less than its first model call costs.
    #[error("the run needs {needed}, its limit is {limit}")]
    Limit {
        /// Smallest hold that the run needs.
        needed: MicroCredits,
        /// Largest hold that the budget of the request and the plan allow.
        limit: MicroCredits,
    },
    /// The plan does not include the model.
    #[error("the plan `{plan}` does not include the model `{model}`")]
    #[expect(missing_docs, reason = "plain data")]
    Model { plan: String, model: String },
    /// The deployment does not allow the model.
    #[error("the deployment does not allow the model `{0}`")]
    NotAllowed(String),
    /// The deployment has no model provider.
    #[error("the deployment has no model provider")]
    NoProvider,
    /// The deployment has no price for the model.
    #[error("the model `{0}` has no known price")]
    Unpriced(String),
    /// The plan or the deployment allows no more runs at the same time.
    #[error("the tenant may have {limit} runs at the same time")]
    #[expect(missing_docs, reason = "plain data")]
    Concurrent { limit: u32 },
    /// The runs of the day cost as much as the plan allows.
    #[error("the plan allows {limit} a day")]
    #[expect(missing_docs, reason = "plain data")]
    Daily { limit: MicroCredits },
    /// The runs of the day cost as much as the deployment allows a tenant.
    #[error("the runs of a tenant may cost {limit} a day")]
    #[expect(missing_docs, reason = "plain data")]
    DailyCost { limit: MicroUsd },
    /// The runs of the day cost as much as the deployment allows a tenant that is not trusted, or all of them together.
    #[error("the tenant is not trusted, and may cost {limit} a day")]
    #[expect(missing_docs, reason = "plain data")]
    Unverified { limit: MicroUsd },
    /// The tenant has as many open streams as the deployment allows.
    #[error("the tenant may have {limit} open streams")]
    #[expect(missing_docs, reason = "plain data")]
    Streams { limit: u32 },
    /// The account is frozen.
    #[error("the account is frozen: {0}")]
    Frozen(String),
}

/// Credits to hold for a run, with the plan that allows the run. The start of the run stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The amounts that the account puts aside.
    pub hold: Hold,
    /// The plan of the account.
    pub plan: Plan,
    /// The account had no hold on this day when it was read.
    pub first_today: bool,
}

/// Returns `true` if the ledger has the posting of the run: it was settled.
///
/// # Errors
/// Returns an error if the table fails.
pub async fn is_posted(store: &Store, tenant: TenantId, run: RunId) -> Result<bool, TableError> {
    let posting = key::posting(tenant, PostingId::from_bits(run.bits()));
    Ok(store.get_item(&posting).await?.is_some())
}

/// Builds the write that releases what a quota holds for a run that has ended, at no cost. Its condition is that the quota
/// holds something.
#[must_use]
pub fn release_of_quota(tenant: TenantId, run: RunId) -> Update {
    let run = run.to_string();
    let held = || ["holds", run.as_str()];
    let update = Update::of(&key::quota(tenant)).add("version", 1).remove(held());
    update.when(attribute(held()).is_present())
}

/// The run that credits are spent on, for its posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct Payer {
    pub tenant: TenantId,
    pub run: RunId,
    pub user: UserId,
    pub project: ProjectId,
}

/// The day that a hold at `at` counts for.
pub(crate) fn day_of(at: Timestamp) -> String {
    let date: String = at.to_string().chars().take(10).filter(char::is_ascii_digit).collect();
    format!("d{date}")
}

/// A hold of `amount` at `now`.
#[must_use]
pub fn hold(amount: MicroCredits, markup: Markup, now: Timestamp) -> Hold {
    Hold { amount, day: day_of(now), markup: markup.0, metered: false, of_quota: false, low_below: None }
}

/// The row that the hold is a part of.
fn row_of(hold: &Hold, tenant: TenantId) -> Key {
    if hold.of_quota { key::quota(tenant) } else { key::account(tenant) }
}

/// Returns `true` if the account or the quota holds the amount for the run.
///
/// # Errors
/// Returns an error if the table fails.
pub async fn is_stored(hold: &Hold, store: &Store, tenant: TenantId, run: RunId) -> Result<bool, TableError> {
    /// The part that accounts and quotas have in common.
    #[derive(Deserialize)]
    struct Holds {
        holds: BTreeMap<RunId, MicroCredits>,
    }
    let row: Option<Holds> = store.get(&row_of(hold, tenant)).await?;
    Ok(row.is_some_and(|row| row.holds.contains_key(&run)))
}

/// Returns the largest cost of the run's model calls that the hold covers.
#[must_use]
pub fn max_cost(hold: &Hold) -> MicroUsd {
    Markup(hold.markup).cost(hold.amount)
}

impl Reservation {
    /// Decides which credits the account, as it was read, puts aside for a run.
    pub(crate) fn of(
        account: &Account,
        terms: &Terms,
        quote: Quote<'_>,
        now: Timestamp,
    ) -> Result<Self, Denied> {
        let plan = terms.plans.get(&account.plan);
        let mut models = quote.model.into_iter().chain(quote.fallbacks.iter().map(ModelName::as_str));
        if let Some(model) = models.find(|model| !plan.has_model(model)) {
            return Err(Denied::Model { plan: account.plan.clone(), model: model.to_owned() });
        }
        let limits = HoldLimits {
            usual: terms.usual_hold,
            most: plan.per_run,
            budget: quote.budget.map(|most| terms.markup.credits(most)),
        };
        let first_call = terms.markup.credits(quote.first_call);
        let amount = hold_amount(first_call, limits, account.available).map_err(|too_small| {
            // A frozen account or a plan without room for the run is the more important reason.
            let hold = hold(too_small.needed(), terms.markup, now);
            denied(&hold, account, plan).unwrap_or_else(|| too_small.denied(account.available))
        })?;
        let low_below = low::threshold_for(account, terms.usual_hold, amount);
        let hold = Hold { metered: terms.metered, low_below, ..hold(amount, terms.markup, now) };
        if let Some(denied) = denied(&hold, account, plan) {
            return Err(denied);
        }
        let first_today = !account.days.contains_key(&hold.day);
        Ok(Self { hold, plan: plan.clone(), first_today })
    }

    /// Returns the largest cost of the run's model calls that the hold covers. Returns `None` if the deployment limits no
    /// costs.
    #[must_use]
    pub fn max_cost(&self) -> Option<MicroUsd> {
        let is_limited = !self.hold.of_quota || self.plan.per_day.is_some();
        is_limited.then(|| max_cost(&self.hold))
    }

    /// Builds the write that holds the credits, for the transaction that stores the run. Its condition requires that the
    /// account has the credits, that the plan allows another run, and that no grant is due to expire. Nothing of this is
    /// read before.
    #[must_use]
    pub fn update(&self, tenant: TenantId, run: RunId, now: Timestamp) -> Update {
        let Self { hold, plan, .. } = self;
        let amount = hold.amount;
        let run = run.to_string();
        let room = plan.per_day.map_or(MicroCredits(i64::MAX), |limit| limit - amount);
        let held_today = || attribute(["days", hold.day.as_str()]);
        let update = Update::of(&row_of(hold, tenant))
            .add("version", 1)
            .set(["holds", run.as_str()], amount)
            .add(["days", hold.day.as_str()], amount.0)
            .when(attribute("holds").has_fewer_than(plan.concurrent_runs))
            .when(attribute(["holds", run.as_str()]).is_absent())
            .when(held_today().is_absent().or(held_today().is_at_most(room)));
        if hold.of_quota {
            return update;
        }
        update
            .add("available", -amount.0)
            .add("reserved", amount.0)
            .when(attribute("available").is_at_least(amount))
            .when(attribute("next_expiry").is_above(now.millis()))
            .when(attribute("frozen").is_absent())
    }
}

/// Returns the reason why the account, as it was read, does not allow the hold. Returns `None` if it allows it, or will
/// do so as soon as due grants have expired.
#[must_use]
pub fn denied(hold: &Hold, account: &Account, plan: &Plan) -> Option<Denied> {
    if let Some(why) = account.why_frozen() {
        return Some(Denied::Frozen(why.to_owned()));
    }
    if account.holds.len() >= plan.concurrent_runs as usize {
        return Some(Denied::Concurrent { limit: plan.concurrent_runs });
    }
    let today = account.days.get(&hold.day).copied().unwrap_or_default();
    if let Some(limit) = plan.per_day.filter(|limit| today + hold.amount > *limit) {
        return Some(Denied::Daily { limit });
    }
    let is_short = account.available < hold.amount;
    is_short.then_some(Denied::Insufficient { needed: hold.amount, available: account.available })
}

/// Builds the writes that settle a hold, for the transaction that ends the run: the cost is spent, and the rest is
/// available again. The first write changes the row with the hold. If the credits may be low then, a job compares them. A quota has
/// no ledger. This happens once because a run
/// ends once. The writes of an account have no condition: nothing may keep a run from ending. A quota that was deleted is
/// left alone.
///
/// # Panics
/// Never: a posting is plain data.
#[must_use]
pub fn settle(hold: &Hold, payer: Payer, cost: MicroUsd, now: Timestamp) -> Vec<Write> {
    let run = payer.run.to_string();
    let released = Update::of(&row_of(hold, payer.tenant)).add("version", 1).remove(["holds", run.as_str()]);
    let today = ["days", hold.day.as_str()];
    if hold.of_quota {
        let due = Markup(hold.markup).credits(cost);
        let counted = released.add_from(today, hold.amount.0, (due - hold.amount).0);
        return vec![counted.when(exists()).into()];
    }
    let posting = posting(hold, payer, cost, now);
    let spent = posting.to(LedgerAccount::Spent);
    let back = hold.amount - spent;
    let update = released
        .add("available", back.0)
        .add("reserved", -hold.amount.0)
        .add("spent", spent.0)
        .add("untaken", spent.0)
        .add_from(today, hold.amount.0, -back.0);
    let row =
        Row::new(&key::posting(payer.tenant, posting.id), &posting).expect("a posting serialises to a map");
    let comparing = LowCredits::job(hold, payer).into_iter().flat_map(|job| job.rows(now)).map(Write::put);
    [update.into(), Write::put(row)].into_iter().chain(comparing).collect()
}

/// The posting of a run that has ended: held, spent and released.
#[must_use]
pub fn posting(hold: &Hold, payer: Payer, cost: MicroUsd, now: Timestamp) -> Posting {
    let due = Markup(hold.markup).credits(cost);
    let spent = due.min(hold.amount);
    let cause = Cause::Run {
        run_id: payer.run,
        user_id: payer.user,
        project_id: payer.project,
        cost_micro_usd: cost.0,
    };
    let moves = [
        (LedgerAccount::Available, LedgerAccount::Reserved, hold.amount),
        (LedgerAccount::Reserved, LedgerAccount::Spent, spent),
        (LedgerAccount::Reserved, LedgerAccount::Available, hold.amount - spent),
    ];
    // The id of the run, so that a run has one posting.
    let id = PostingId::from_bits(payer.run.bits());
    Posting { id, uncovered: due - spent, ..Posting::moving(cause, now, &moves) }
}
