//! The quota of a tenant in a deployment that does not charge for runs: its live runs, and what the runs of a day cost.
//!
//! It works as an account does. A run holds a part of the day's limit in the transaction that stores it, and settles in
//! the transaction that ends it. So the runs of a day never cost more than the limit, however many start at once.

use std::collections::BTreeMap;

use sequent_core::{MicroCredits, MicroUsd, RunId, TenantId, TenantLimits, Timestamp};
use sequent_event::Hold;
use sequent_tables::{Error as TableError, Row, Store, Update, attribute, exists, key};
use serde::{Deserialize, Serialize};

use crate::{
    Denied, Error, Markup, Plan, Quote, Reservation,
    hold::{day_of, hold},
};

/// Days whose sums are kept until they are removed together.
const KEPT_DAYS: usize = 8;
/// Days whose sums are never removed. Around midnight the clocks of two instances show different days.
const CURRENT_DAYS: usize = 2;

/// The row of a tenant's quota.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Version of the row. Every stored change increments it.
    pub version: u64,
    /// Holds of live runs, by run. One credit is one US dollar.
    pub holds: BTreeMap<RunId, MicroCredits>,
    /// Amounts held and spent in the last days, by the day of the hold.
    pub days: BTreeMap<String, MicroCredits>,
    /// The last day on which the tenant took its share of what tenants that are not trusted may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_of: Option<String>,
    /// The tenant was found to be trusted, which it stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_trusted: bool,
}

impl Quota {
    /// Reads the quota of a tenant. A tenant without one gets an empty quota.
    ///
    /// # Errors
    /// If the table fails.
    pub(crate) async fn open(store: &Store, tenant: TenantId) -> Result<Self, TableError> {
        let key = key::quota(tenant);
        if let Some(quota) = store.get::<Self>(&key).await? {
            return quota.without_old_days(store, tenant).await;
        }
        let new = Self::default();
        match store.insert(Row::new(&key, &new)?).await {
            Ok(()) => Ok(new),
            // Another request of the tenant was first.
            Err(TableError::Conflict(_)) => Ok(store.get(&key).await?.unwrap_or_default()),
            Err(error) => Err(error),
        }
    }

    /// Returns `true` if the tenant has taken its share of the day.
    pub(crate) fn has_share(&self, now: Timestamp) -> bool {
        self.share_of.as_deref() == Some(day_of(now).as_str())
    }

    /// Notes that the tenant is trusted, so that its next request need not read that.
    pub(crate) async fn note_trust(store: &Store, tenant: TenantId) -> Result<(), TableError> {
        let update = Update::of(&key::quota(tenant)).add("version", 1).set("is_trusted", true);
        store.write_if(update.when(exists())).await.map(drop)
    }

    /// Counts the cost of a model call that belongs to no run, if the day's limit has room for it. The tenant has a quota.
    pub(crate) async fn spend(
        store: &Store,
        tenant: TenantId,
        limit: MicroUsd,
        cost: MicroUsd,
        now: Timestamp,
    ) -> Result<(), Error> {
        let day = day_of(now);
        let spent = || attribute(["days", day.as_str()]);
        let amount = credits(cost).max(MicroCredits(1));
        let room = credits(limit) - amount;
        let has_room = spent().is_at_most(room);
        let update = Update::of(&key::quota(tenant))
            .add("version", 1)
            .add(["days", day.as_str()], amount.0)
            .when(if room < MicroCredits::ZERO { has_room } else { spent().is_absent().or(has_room) });
        match store.write_if(update).await? {
            true => Ok(()),
            false => Err(Denied::DailyCost { limit }.into()),
        }
    }

    /// Removes sums of past days, which make the row larger and every write more expensive.
    async fn without_old_days(mut self, store: &Store, tenant: TenantId) -> Result<Self, TableError> {
        if self.days.len() <= KEPT_DAYS {
            return Ok(self);
        }
        let old: Vec<String> = self.days.keys().rev().skip(CURRENT_DAYS).cloned().collect();
        // Without the condition, a row that was deleted meanwhile would be stored again with nothing but a version.
        let update = Update::of(&key::quota(tenant)).add("version", 1).when(exists());
        let update = old.iter().fold(update, |update, day| update.remove(["days", day.as_str()]));
        store.write_if(update).await?;
        self.days.retain(|day, _| !old.contains(day));
        Ok(self)
    }

    /// Returns the quota as it would be if the run had ended and cost nothing. Returns `None` if it holds nothing for the
    /// run.
    pub(crate) fn without(&self, run: RunId) -> Option<Self> {
        let mut quota = self.clone();
        let held = quota.holds.remove(&run)?;
        if let Some(sum) = quota.days.get_mut(&day_of(run.created_at())) {
            *sum -= held;
        }
        Some(quota)
    }

    /// Decides how much of the day's limit a run holds.
    pub(crate) fn reserve(
        &self,
        limits: &TenantLimits,
        quote: Quote<'_>,
        now: Timestamp,
    ) -> Result<Reservation, Denied> {
        let day = day_of(now);
        if let Some(limit) = limits.runs.filter(|limit| self.holds.len() >= *limit as usize) {
            return Err(Denied::Concurrent { limit });
        }
        let today = self.days.get(&day).copied().unwrap_or_default();
        let amount = match limits.daily_usd {
            Some(limit) => part_of_day(credits(limit), today, quote).map_err(|denied| match denied {
                TooLittle::OfDay => Denied::DailyCost { limit },
                TooLittle::OfBudget { needed, limit } => Denied::Limit { needed, limit },
            })?,
            None => MicroCredits::ZERO,
        };
        let plan = Plan {
            concurrent_runs: limits.runs.unwrap_or(u32::MAX),
            per_day: limits.daily_usd.map(credits),
            retention_days: limits.retention_days,
            ..Plan::default()
        };
        let hold = Hold { of_quota: true, ..hold(amount, AT_COST, now) };
        Ok(Reservation { first_today: !self.days.contains_key(&day), hold, plan })
    }
}

/// A credit of a quota is a dollar.
const AT_COST: Markup = Markup(100);

fn credits(cost: MicroUsd) -> MicroCredits {
    AT_COST.credits(cost)
}

/// The reason why no hold covers the first model call of a run.
enum TooLittle {
    OfDay,
    OfBudget { needed: MicroCredits, limit: MicroCredits },
}

/// Returns the amount to hold: the budget of the request, or else half of what is left of the day, so that other runs can
/// start; at least the estimate of the first model call.
fn part_of_day(
    limit: MicroCredits,
    today: MicroCredits,
    quote: Quote<'_>,
) -> Result<MicroCredits, TooLittle> {
    let left = limit - today;
    let needed = credits(quote.first_call).max(MicroCredits(1));
    if left < needed {
        return Err(TooLittle::OfDay);
    }
    match quote.budget.map(credits) {
        Some(budget) if budget < needed => Err(TooLittle::OfBudget { needed, limit: budget }),
        Some(budget) => Ok(budget.min(left)),
        None => Ok(MicroCredits(left.0 / 2).max(needed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quote(first_call: u64, budget: Option<u64>) -> Quote<'static> {
        Quote { model: None, fallbacks: &[], first_call: MicroUsd(first_call), budget: budget.map(MicroUsd) }
    }

    fn held(limit: i64, today: i64, quote: Quote<'_>) -> Option<i64> {
        part_of_day(MicroCredits(limit), MicroCredits(today), quote).ok().map(|amount| amount.0)
    }

    #[test]
    fn a_run_holds_its_budget_or_half_of_what_is_left() {
        assert_eq!(held(1000, 0, quote(10, None)), Some(500));
        assert_eq!(held(1000, 500, quote(10, None)), Some(250));
        assert_eq!(held(1000, 0, quote(600, None)), Some(600), "the first call");
        assert_eq!(held(1000, 0, quote(10, Some(800))), Some(800));
        assert_eq!(held(1000, 500, quote(10, Some(800))), Some(500), "all that is left");
        assert_eq!(held(1000, 0, quote(10, Some(9))), None, "the budget does not cover the first call");
        assert_eq!(held(1000, 991, quote(10, None)), None, "nor does the day");
        assert_eq!(held(1000, 1000, quote(0, None)), None);
        assert_eq!(held(0, 0, quote(0, None)), None, "a limit of nothing allows nothing");
    }

    #[test]
    fn a_quota_without_a_daily_limit_counts_runs_only() {
        let limits = TenantLimits { daily_usd: None, runs: Some(1), ..TenantLimits::default() };
        let quota = Quota::default();
        let now = Timestamp::from_millis(1_900_000_000_000);
        let reservation = quota.reserve(&limits, quote(10, None), now).unwrap();
        assert_eq!((reservation.hold.amount, reservation.max_cost()), (MicroCredits::ZERO, None));
        let full = Quota { holds: BTreeMap::from([(RunId::new(), MicroCredits::ZERO)]), ..quota };
        assert_eq!(full.reserve(&limits, quote(10, None), now), Err(Denied::Concurrent { limit: 1 }));
    }
}
