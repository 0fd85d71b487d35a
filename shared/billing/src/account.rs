//! A tenant's balances and their changes. Plain code: the ledger reads and writes the row.

use std::collections::BTreeMap;

use sequent_core::{GrantId, MicroCredits, RunId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Cause, LedgerAccount, Posting, hold::day_of};

/// The expiry of grants that do not expire.
pub const NEVER: i64 = i64::MAX;
/// Milliseconds until an expiry is tried again, if runs hold credits of an expired grant.
const WAIT: i64 = 60_000;
/// Most grants that expire in one transaction: each is three writes, and a transaction can hold a hundred.
const AT_ONCE: usize = 25;
/// Number of days whose sums are kept.
const DAYS: usize = 3;

/// The account of a tenant: its balances, grants and holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Version of the row. Every stored change increments it.
    pub version: u64,
    /// Name of the plan.
    pub plan: String,
    /// Sum of the grants, less refunds.
    pub granted: MicroCredits,
    /// Balance that runs can hold and spend.
    pub available: MicroCredits,
    /// Credits that are held for runs.
    pub reserved: MicroCredits,
    /// Credits that runs spent.
    pub spent: MicroCredits,
    /// Credits that were not spent in time.
    pub expired: MicroCredits,
    /// Sum of the adjustments by administrators.
    pub adjusted: MicroCredits,
    /// Spent credits that are not yet taken from a grant.
    pub untaken: MicroCredits,
    /// Grants with credits left, the first to expire first.
    pub grants: Vec<Grant>,
    /// Expiry of the first grant, in milliseconds since the epoch.
    pub next_expiry: i64,
    /// Holds of live runs, by run.
    pub holds: BTreeMap<RunId, MicroCredits>,
    /// Credits held and spent in the last days, by the day of the hold.
    pub days: BTreeMap<String, MicroCredits>,
    /// Reasons for which the account is frozen, by the object that caused them, such as a dispute.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub frozen: BTreeMap<String, String>,
    /// The grant to a new tenant waits until the tenant is trusted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub welcome_due: bool,
    /// The latest grant. A tenth of it is the threshold of low credits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_grant: Option<LatestGrant>,
    /// The grant after which the tenant was told that its credits are low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_told: Option<GrantId>,
}

/// The latest credits that an account was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct LatestGrant {
    pub id: GrantId,
    pub amount: MicroCredits,
}

/// Credits that were granted together and expire together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Grant {
    /// Id of the grant.
    pub id: GrantId,
    /// Credits of the grant that are left.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub left: MicroCredits,
    /// Expiry in milliseconds since the epoch. The largest number of 64 bits if the grant does not expire.
    pub expires: i64,
    /// Number of times that a part of the grant has expired.
    #[serde(default)]
    pub expiries: u32,
}

impl Account {
    /// An account without credits, on the plan `plan`.
    #[must_use]
    pub fn new(plan: &str) -> Self {
        Self {
            version: 0,
            plan: plan.to_owned(),
            granted: MicroCredits::ZERO,
            available: MicroCredits::ZERO,
            reserved: MicroCredits::ZERO,
            spent: MicroCredits::ZERO,
            expired: MicroCredits::ZERO,
            adjusted: MicroCredits::ZERO,
            untaken: MicroCredits::ZERO,
            grants: Vec::new(),
            next_expiry: NEVER,
            holds: BTreeMap::new(),
            days: BTreeMap::new(),
            frozen: BTreeMap::new(),
            welcome_due: false,
            latest_grant: None,
            low_told: None,
        }
    }

    /// Returns the balance of an account of the ledger.
    #[must_use]
    pub fn at(&self, place: LedgerAccount) -> MicroCredits {
        match place {
            LedgerAccount::Granted => -self.granted,
            LedgerAccount::Available => self.available,
            LedgerAccount::Reserved => self.reserved,
            LedgerAccount::Spent => self.spent,
            LedgerAccount::Expired => self.expired,
            LedgerAccount::Adjustments => -self.adjusted,
        }
    }

    /// Returns a reason for which the account is frozen. Returns `None` if it is not.
    #[must_use]
    pub fn why_frozen(&self) -> Option<&str> {
        self.frozen.values().next().map(String::as_str)
    }

    /// Returns the account as it would be if the run had ended and cost nothing. Returns `None` if the account holds no credits
    /// for the run.
    pub(crate) fn without(&self, run: RunId) -> Option<Self> {
        let mut account = self.clone();
        let held = account.holds.remove(&run)?;
        account.available += held;
        account.reserved -= held;
        // A hold counts for the day on which its run was created.
        if let Some(sum) = account.days.get_mut(&day_of(run.created_at())) {
            *sum -= held;
        }
        Some(account)
    }

    /// Grants credits, until `expires` if given. The id of the grant is [`Cause::grant_id`].
    pub fn grant(
        &mut self,
        cause: Cause,
        amount: MicroCredits,
        expires: Option<Timestamp>,
        at: Timestamp,
    ) -> Posting {
        self.take_spent();
        let id = cause.grant_id(at);
        self.granted += amount;
        self.available += amount;
        self.latest_grant = Some(LatestGrant { id, amount });
        self.grants.push(Grant {
            id,
            left: amount,
            expires: expires.map_or(NEVER, Timestamp::millis),
            expiries: 0,
        });
        self.settle_grants(at);
        Posting::moving(cause, at, &[(LedgerAccount::Granted, LedgerAccount::Available, amount)])
    }

    /// Takes back granted credits as far as the account has them, from the grant `of` first. The posting contains the rest
    /// as `uncovered`.
    pub fn refund(&mut self, of: GrantId, cause: Cause, amount: MicroCredits, at: Timestamp) -> Posting {
        self.take_spent();
        let taken = amount.min(self.available);
        self.granted -= taken;
        self.available -= taken;
        self.draw_first(of, taken);
        self.settle_grants(at);
        let posting =
            Posting::moving(cause, at, &[(LedgerAccount::Available, LedgerAccount::Granted, taken)]);
        Posting { uncovered: amount - taken, ..posting }
    }

    /// Adds credits, or takes them as far as the account has them.
    pub(crate) fn adjust(&mut self, cause: Cause, amount: MicroCredits, at: Timestamp) -> Posting {
        self.take_spent();
        let moved = amount.max(-self.available);
        self.adjusted += moved;
        self.available += moved;
        if moved > MicroCredits::ZERO {
            let id = cause.grant_id(at);
            self.latest_grant = Some(LatestGrant { id, amount: moved });
            self.grants.push(Grant { id, left: moved, expires: NEVER, expiries: 0 });
        } else {
            self.draw(-moved);
        }
        self.settle_grants(at);
        let posting =
            Posting::moving(cause, at, &[(LedgerAccount::Adjustments, LedgerAccount::Available, moved)]);
        Posting { uncovered: moved - amount, ..posting }
    }

    /// Lets due grants expire, at most 25 at once. Credits that runs hold expire after the runs have released them.
    pub(crate) fn expire(&mut self, at: Timestamp) -> Vec<Posting> {
        self.take_spent();
        let mut postings = Vec::new();
        for n in 0..self.grants.len() {
            let grant = &mut self.grants[n];
            let amount = grant.left.min(self.available);
            if grant.expires > at.millis() || amount <= MicroCredits::ZERO || postings.len() == AT_ONCE {
                continue;
            }
            let cause = Cause::Expiry { grant_id: grant.id, step: grant.expiries };
            grant.left -= amount;
            grant.expiries += 1;
            self.available -= amount;
            self.expired += amount;
            postings.push(Posting::moving(
                cause,
                at,
                &[(LedgerAccount::Available, LedgerAccount::Expired, amount)],
            ));
        }
        self.settle_grants(at);
        postings
    }

    /// Returns the days whose sums are no longer needed.
    pub(crate) fn old_days(&self) -> impl Iterator<Item = &String> {
        self.days.keys().rev().skip(DAYS)
    }

    /// Takes the spent credits from the grants.
    fn take_spent(&mut self) {
        let spent = std::mem::take(&mut self.untaken);
        self.draw(spent);
    }

    /// Takes credits from the grants, the first to expire first.
    fn draw(&mut self, mut amount: MicroCredits) {
        for grant in &mut self.grants {
            let part = amount.min(grant.left);
            grant.left -= part;
            amount -= part;
        }
    }

    fn draw_first(&mut self, of: GrantId, amount: MicroCredits) {
        let own = self.grants.iter_mut().find(|grant| grant.id == of);
        let part = own.map_or(MicroCredits::ZERO, |grant| {
            let part = amount.min(grant.left);
            grant.left -= part;
            part
        });
        self.draw(amount - part);
    }

    /// Sorts the grants, removes the empty ones and old days, and sets the time of the next expiry.
    fn settle_grants(&mut self, at: Timestamp) {
        self.grants.retain(|grant| grant.left > MicroCredits::ZERO);
        self.grants.sort_by_key(|grant| (grant.expires, grant.id));
        let first = self.grants.first().map_or(NEVER, |grant| grant.expires);
        let waits = first <= at.millis();
        self.next_expiry = if waits { at.millis() + WAIT } else { first };
        let old: Vec<String> = self.old_days().cloned().collect();
        self.days.retain(|day, _| !old.contains(day));
    }
}
