//! What a run may cost: taken before it begins, settled when it has ended. Both are arithmetic in the account's row.

use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_core::{MicroCredits, MicroUsd, PostingId, ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_event::Hold;
use sequent_tables::{Change, Row, Store, Transaction, key};

use crate::{Account, Cause, Markup, Place, Plan, Posting};

/// Why a run may not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There are too few credits.
    #[error("{needed} are needed, {available} are available")]
    Insufficient {
        /// How many it takes at least.
        needed: MicroCredits,
        /// How many there are.
        available: MicroCredits,
    },
    /// The plan does not have the model.
    #[error("the plan `{plan}` does not have the model `{model}`")]
    Model {
        /// The plan.
        plan: String,
        /// The model.
        model: String,
    },
    /// Nobody knows what the model costs.
    #[error("the model `{0}` has no known price")]
    Unpriced(String),
    /// As many runs are under way as may be.
    #[error("{limit} runs are under way already")]
    Concurrent {
        /// How many may be.
        limit: u32,
    },
    /// The day's runs cost as much as they may.
    #[error("the day's runs may cost {limit}")]
    Daily {
        /// How much they may.
        limit: MicroCredits,
    },
    /// Nothing may be spent.
    #[error("nothing may be spent: {0}")]
    Frozen(String),
}

/// Credits to hold for a run, and the plan that allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The credits.
    pub hold: Hold,
    /// The plan.
    pub plan: Plan,
    /// Whether it is the account's first hold of the day, as far as was seen.
    pub first_today: bool,
}

/// Whose run it is, for its posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payer {
    /// The tenant.
    pub tenant: TenantId,
    /// The run.
    pub run: RunId,
    /// Who started it.
    pub user: UserId,
    /// The conversation.
    pub project: ProjectId,
}

/// The day that something at `at` counts for.
pub(crate) fn day_of(at: Timestamp) -> String {
    let date: String = at.to_string().chars().take(10).filter(char::is_ascii_digit).collect();
    format!("d{date}")
}

/// A hold of `amount` at `now`.
#[must_use]
pub fn hold(amount: MicroCredits, markup: Markup, now: Timestamp) -> Hold {
    Hold { amount, day: day_of(now), markup: markup.0, metered: false }
}

/// The most that the run's model calls may cost us.
#[must_use]
pub fn most(hold: &Hold) -> MicroUsd {
    Markup(hold.markup).cost(hold.amount)
}

/// Adds to the transaction that stores the run: the account has the credits, the plan allows another run, and nothing
/// that the account holds is due to expire. None of these is read before.
#[must_use]
pub fn take(
    hold: &Hold,
    writes: Transaction,
    store: &Store,
    (tenant, run): (TenantId, RunId),
    plan: &Plan,
    now: Timestamp,
) -> Transaction {
    let day = &hold.day;
    let room = plan.per_day.map_or(MicroCredits(i64::MAX), |limit| limit - hold.amount);
    let change = Change {
        // Ids and days are plain words: they may stand in paths as they are.
        update: format!(
            "SET #available = #available - :amount, #reserved = #reserved + :amount, #version = #version + :one, \
             #holds.{run} = :amount, #days.{day} = if_not_exists(#days.{day}, :zero) + :amount"
        ),
        condition: Some(format!(
            "#available >= :amount AND #next > :now AND attribute_not_exists(#frozen) AND size(#holds) < :most \
             AND attribute_not_exists(#holds.{run}) AND (attribute_not_exists(#days.{day}) OR #days.{day} <= :room)"
        )),
        names: vec![
            ("#available", "available"),
            ("#reserved", "reserved"),
            ("#version", "version"),
            ("#holds", "holds"),
            ("#days", "days"),
            ("#next", "next_expiry"),
            ("#frozen", "frozen"),
        ],
        values: vec![
            (":amount", number(hold.amount.0)),
            (":one", number(1)),
            (":zero", number(0)),
            (":now", number(now.millis())),
            (":most", number(i64::from(plan.concurrent_runs))),
            (":room", number(room.0)),
        ],
    };
    writes.update(store, &key::account(tenant), change)
}

/// Why the account, as it was found, does not let the hold be taken. `None`: it does by now, or once what is due has
/// expired.
#[must_use]
pub fn denied(hold: &Hold, account: &Account, plan: &Plan) -> Option<Denied> {
    let today = account.days.get(&hold.day).copied().unwrap_or_default();
    match () {
        () if !account.frozen.is_empty() => account.why_frozen().map(|why| Denied::Frozen(why.to_owned())),
        () if account.holds.len() >= plan.concurrent_runs as usize => {
            Some(Denied::Concurrent { limit: plan.concurrent_runs })
        }
        () if plan.per_day.is_some_and(|limit| today + hold.amount > limit) => {
            plan.per_day.map(|limit| Denied::Daily { limit })
        }
        () if account.available < hold.amount => {
            Some(Denied::Insufficient { needed: hold.amount, available: account.available })
        }
        () => None,
    }
}

/// Adds to the transaction that ends the run: what it cost is spent, and the rest is available again. That happens
/// once because a run ends once, so nothing of it depends on a condition: no run may be kept from ending.
///
/// # Panics
/// Never: a posting is plain data.
#[must_use]
pub fn settle(
    hold: &Hold,
    writes: Transaction,
    store: &Store,
    payer: Payer,
    cost: MicroUsd,
    now: Timestamp,
) -> Transaction {
    let posting = posting(hold, payer, cost, now);
    let spent = posting.to(Place::Spent);
    let (run, day) = (payer.run, &hold.day);
    let change = Change {
        update: format!(
            "SET #available = #available + :back, #reserved = #reserved - :amount, #spent = #spent + :spent, \
             #untaken = #untaken + :spent, #version = #version + :one, \
             #days.{day} = if_not_exists(#days.{day}, :amount) - :back REMOVE #holds.{run}"
        ),
        condition: None,
        names: vec![
            ("#available", "available"),
            ("#reserved", "reserved"),
            ("#spent", "spent"),
            ("#untaken", "untaken"),
            ("#version", "version"),
            ("#days", "days"),
            ("#holds", "holds"),
        ],
        values: vec![
            (":back", number((hold.amount - spent).0)),
            (":amount", number(hold.amount.0)),
            (":spent", number(spent.0)),
            (":one", number(1)),
        ],
    };
    let row =
        Row::new(&key::posting(payer.tenant, posting.id), &posting).expect("a posting serialises to a map");
    writes.update(store, &key::account(payer.tenant), change).put(store, row)
}

/// What the ledger says of the run: held, spent, and given back.
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
        (Place::Available, Place::Reserved, hold.amount),
        (Place::Reserved, Place::Spent, spent),
        (Place::Reserved, Place::Available, hold.amount - spent),
    ];
    // The run's own, so that there is one of it.
    let id = PostingId::from_bits(payer.run.bits());
    Posting { id, uncovered: due - spent, ..Posting::moving(cause, now, &moves) }
}

fn number(number: i64) -> Value {
    Value::N(number.to_string())
}
