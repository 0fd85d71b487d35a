//! The credits that a tenant spent in a period.

use std::{collections::BTreeMap, time::Duration};

use axum::extract::State;
use sequent_billing::{Cause, LedgerAccount, Posting};
use sequent_core::{Code, MicroCredits, Timestamp};
use sequent_http::{Caller, Json, Problem, Query, openapi::Problems};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::App;

/// Most postings that are read for one response.
const MOST_POSTINGS: usize = 20_000;
/// Difference between the clocks that dated a run and its posting.
const CLOCK_SKEW: Duration = Duration::from_secs(300);
/// The default period. A run lasts less.
const DEFAULT_PERIOD: Duration = Duration::from_secs(30 * 24 * 3600);

/// The query of `GET /api/billing/usage`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageQuery {
    /// Start of the period; 30 days before its end if not given.
    from: Option<Timestamp>,
    /// End of the period; now if not given.
    to: Option<Timestamp>,
    /// The grouping of the runs: `day` if not given, `user` or `project`.
    #[serde(default)]
    #[param(inline)]
    by: Grouping,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Grouping {
    /// By day in UTC.
    #[default]
    Day,
    /// By the user who created the run.
    User,
    Project,
}

/// The movements of credits in a period, in millionths of a credit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Usage {
    from: Timestamp,
    to: Timestamp,
    /// Credits that were bought or came with a plan, minus refunds.
    #[schema(value_type = i64)]
    granted: MicroCredits,
    /// Credits given by the operator, minus those taken.
    #[schema(value_type = i64)]
    adjusted: MicroCredits,
    /// Credits spent on runs.
    #[schema(value_type = i64)]
    spent: MicroCredits,
    /// Credits that expired before they were spent.
    #[schema(value_type = i64)]
    expired: MicroCredits,
    /// The runs, grouped by day, user or project.
    items: Vec<UsageItem>,
    /// False if the period has more postings than one response reads. Ask for a shorter period then.
    complete: bool,
}

/// A group of runs.
#[derive(Debug, Default, Serialize, ToSchema)]
struct UsageItem {
    /// The day, or the id of the user or project.
    key: String,
    runs: u32,
    #[schema(value_type = i64)]
    spent: MicroCredits,
    /// Cost of the model calls in millionths of a US dollar.
    cost_micro_usd: u64,
}

/// Get the usage of a period.
///
/// Sums up the ledger: the credits that were added and spent, and the cost of runs by day, user or project.
#[utoipa::path(
    get,
    path = "/api/billing/usage",
    operation_id = "get_usage",
    tag = "billing",
    params(UsageQuery),
    responses(
        (status = 200, description = "The usage.", body = Usage),
        (status = 404, description = "The deployment has no billing."),
        Problems
    ),
)]
pub(crate) async fn get_usage(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<UsageQuery>,
) -> Result<Json<Usage>, Problem> {
    app.terms()?;
    let to = query.to.unwrap_or_else(Timestamp::now);
    let from = query.from.unwrap_or_else(|| before(to));
    if from > to {
        let problem = Problem::new(Code::InvalidQuery, "The period ends before it begins.");
        return Err(problem.at_parameter("from", "must not be later than `to`"));
    }
    let secret = app.vault.get().await?;
    let ledger = app.credits.ledger(caller.tenant);
    let mut totals = Totals { grouping: query.by, items: BTreeMap::new(), places: BTreeMap::new() };
    // The id of a posting is not later than the posting: it begins with the start of the run.
    let mut page = ledger.postings_until(to + CLOCK_SKEW, Some(100)).await?;
    let mut read = 0;
    let complete = loop {
        read += page.items.len();
        let in_period = page.items.iter().filter(|posting| posting.at >= from && posting.at <= to);
        in_period.for_each(|posting| totals.add(posting));
        // The ledger is sorted by the start of runs. A run in the period may have started before it.
        let is_past = page.items.last().is_none_or(|posting| posting.id.created_at() < before(from));
        let Some(cursor) = page.next_cursor(secret.cursor()).filter(|_| !is_past) else { break true };
        if read >= MOST_POSTINGS {
            break false;
        }
        page = ledger.postings(secret.cursor(), Some(&cursor), Some(100)).await?;
    };
    Ok(Json(totals.usage(from, to, complete)))
}

/// The start of the default period that ends at `end`.
fn before(end: Timestamp) -> Timestamp {
    let period = i64::try_from(DEFAULT_PERIOD.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(end.millis().saturating_sub(period))
}

struct Totals {
    grouping: Grouping,
    items: BTreeMap<String, UsageItem>,
    places: BTreeMap<LedgerAccount, MicroCredits>,
}

impl Totals {
    fn add(&mut self, posting: &Posting) {
        for entry in &posting.entries {
            *self.places.entry(entry.place).or_default() += entry.amount;
        }
        let Cause::Run { user_id, project_id, cost_micro_usd, .. } = &posting.cause else { return };
        let key = match self.grouping {
            Grouping::Day => posting.at.to_string().chars().take(10).collect(),
            Grouping::User => user_id.to_string(),
            Grouping::Project => project_id.to_string(),
        };
        let item = self.items.entry(key).or_default();
        item.runs += 1;
        item.spent += posting.to(LedgerAccount::Spent);
        item.cost_micro_usd = item.cost_micro_usd.saturating_add(*cost_micro_usd);
    }

    fn usage(self, from: Timestamp, to: Timestamp, complete: bool) -> Usage {
        let at = |place: LedgerAccount| self.places.get(&place).copied().unwrap_or_default();
        Usage {
            from,
            to,
            granted: -at(LedgerAccount::Granted),
            adjusted: -at(LedgerAccount::Adjustments),
            spent: at(LedgerAccount::Spent),
            expired: at(LedgerAccount::Expired),
            items: self.items.into_iter().map(|(key, item)| UsageItem { key, ..item }).collect(),
            complete,
        }
    }
}
