//! What credits were spent on in a period.

use std::{collections::BTreeMap, time::Duration};

use axum::extract::State;
use sequent_billing::{Cause, Place, Posting};
use sequent_core::{MicroCredits, Timestamp};
use sequent_http::{Caller, Json, Problem, Query, Scope, openapi::Problems};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Billing;

/// Postings that are read for an answer. More is told as incomplete.
const MOST: usize = 20_000;
/// The period of those who name none.
const USUAL: Duration = Duration::from_secs(30 * 24 * 3600);

/// Which period, and how it is summed up.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageQuery {
    /// From this moment on; 30 days ago if not given.
    from: Option<Timestamp>,
    /// Up to this moment; now if not given.
    to: Option<Timestamp>,
    /// What the runs are summed up by: `day` if not given, `user` or `project`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    by: By,
}

/// What runs are summed up by.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    /// The day, in UTC.
    #[default]
    Day,
    /// Who started them.
    User,
    /// The conversation.
    Project,
}

/// A statement of a period, in millionths of a credit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Usage {
    from: Timestamp,
    to: Timestamp,
    /// Bought, or given with a plan, less what was refunded.
    #[schema(value_type = i64)]
    granted: MicroCredits,
    /// Given by administrators, less what they took.
    #[schema(value_type = i64)]
    adjusted: MicroCredits,
    /// Spent on runs.
    #[schema(value_type = i64)]
    spent: MicroCredits,
    /// Not spent in time.
    #[schema(value_type = i64)]
    expired: MicroCredits,
    /// The runs.
    items: Vec<Item>,
    /// False if there is more than an answer reads: ask for a shorter period.
    complete: bool,
}

/// Runs summed up.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Item {
    /// The day, user or conversation.
    key: String,
    runs: u32,
    #[schema(value_type = i64)]
    spent: MicroCredits,
    /// What their model calls cost, in millionths of a US dollar.
    cost_micro_usd: u64,
}

/// Get a statement.
///
/// Sums up the ledger from one moment to another: what came, what went, and what runs cost, by day, user or conversation.
#[utoipa::path(
    get,
    path = "/api/billing/usage",
    operation_id = "get_usage",
    tag = "billing",
    params(UsageQuery),
    responses(
        (status = 200, description = "The statement.", body = Usage),
        (status = 404, description = "The deployment has no billing."),
        Problems
    ),
)]
pub(crate) async fn usage(
    State(billing): State<Billing>,
    Caller(caller): Caller,
    Query(query): Query<UsageQuery>,
) -> Result<Json<Usage>, Problem> {
    caller.require(Scope::Account)?;
    billing.terms()?;
    let to = query.to.unwrap_or_else(Timestamp::now);
    let usual = i64::try_from(USUAL.as_millis()).unwrap_or(i64::MAX);
    let from = query.from.unwrap_or_else(|| Timestamp::from_millis(to.millis().saturating_sub(usual)));
    if from > to {
        return Err(Problem::bad_request("invalid_query", "`from` must not be after `to`."));
    }
    let (ledger, secret) = (billing.desk.ledger(caller.tenant), billing.vault.get().await?);
    let mut sums = Sums { by: query.by, items: BTreeMap::new(), places: BTreeMap::new() };
    let (mut cursor, mut read) = (None, 0);
    let complete = loop {
        let page = ledger.postings((secret.cursor(), cursor.as_deref()), Some(100)).await?;
        read += page.items.len();
        let older = page.items.iter().filter(|posting| posting.at >= from && posting.at <= to);
        older.for_each(|posting| sums.add(posting));
        // A run's posting stands where it began: it may have ended long after.
        let slack = Timestamp::from_millis(from.millis().saturating_sub(usual));
        let past = page.items.last().is_none_or(|posting| posting.id.created_at() < slack);
        cursor = page.next_cursor(secret.cursor()).filter(|_| !past);
        if cursor.is_none() || read >= MOST {
            break cursor.is_none();
        }
    };
    let at = |place: Place| sums.places.get(&place).copied().unwrap_or_default();
    let (granted, adjusted) = (-at(Place::Granted), -at(Place::Adjustments));
    let (spent, expired) = (at(Place::Spent), at(Place::Expired));
    let items = sums.items.into_iter().map(|(key, item)| Item { key, ..item }).collect();
    Ok(Json(Usage { from, to, granted, adjusted, spent, expired, items, complete }))
}

struct Sums {
    by: By,
    items: BTreeMap<String, Item>,
    places: BTreeMap<Place, MicroCredits>,
}

impl Sums {
    fn add(&mut self, posting: &Posting) {
        for entry in &posting.entries {
            *self.places.entry(entry.place).or_default() += entry.amount;
        }
        let Cause::Run { user_id, project_id, cost_micro_usd, .. } = &posting.cause else { return };
        let key = match self.by {
            By::Day => posting.at.to_string().chars().take(10).collect(),
            By::User => user_id.to_string(),
            By::Project => project_id.to_string(),
        };
        let item = self.items.entry(key).or_default();
        item.runs += 1;
        item.spent += posting.to(Place::Spent);
        item.cost_micro_usd = item.cost_micro_usd.saturating_add(*cost_micro_usd);
    }
}
