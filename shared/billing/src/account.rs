//! A tenant's balances, and how they change. Plain code: what is written under which condition is the ledger's matter.

use std::collections::BTreeMap;

use sequent_core::{GrantId, MicroCredits, RunId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Cause, Place, Posting};

/// A time that does not come: of grants that do not expire.
pub const NEVER: i64 = i64::MAX;
/// How long an expiry waits for runs that hold what has expired, in milliseconds.
const WAIT: i64 = 60_000;
/// Grants that expire together at most: each is three writes, and a transaction has room for a hundred.
const AT_ONCE: usize = 25;
/// Days whose sums are kept.
const DAYS: usize = 3;

/// A tenant's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Raised by every change that is stored.
    pub version: u64,
    /// The plan.
    pub plan: String,
    /// All that was granted, what was refunded taken off.
    pub granted: MicroCredits,
    /// To be spent.
    pub available: MicroCredits,
    /// Held for runs.
    pub reserved: MicroCredits,
    /// Spent.
    pub spent: MicroCredits,
    /// Not spent in time.
    pub expired: MicroCredits,
    /// What administrators gave, less what they took.
    pub adjusted: MicroCredits,
    /// Spent, but not yet taken from a grant.
    pub untaken: MicroCredits,
    /// What is left of the grants, those that expire first in front.
    pub grants: Vec<Grant>,
    /// When the first of them expires, in milliseconds since the epoch.
    pub next_expiry: i64,
    /// What is held, by run.
    pub holds: BTreeMap<RunId, MicroCredits>,
    /// What was held and spent on the last days, by the day of the hold.
    pub days: BTreeMap<String, MicroCredits>,
    /// Why nothing may be spent, if it may not, by what it is about: a dispute, say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub frozen: BTreeMap<String, String>,
}

/// Credits that were granted together, and expire together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// What is left of it.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub left: MicroCredits,
    /// When it expires, in milliseconds since the epoch; the largest number of 64 bits if it does not.
    pub expires: i64,
    /// How often a part of it has expired.
    #[serde(default)]
    pub expiries: u32,
}

impl Account {
    /// An account that has seen nothing.
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
        }
    }

    /// The balance of a place.
    #[must_use]
    pub fn at(&self, place: Place) -> MicroCredits {
        match place {
            Place::Granted => -self.granted,
            Place::Available => self.available,
            Place::Reserved => self.reserved,
            Place::Spent => self.spent,
            Place::Expired => self.expired,
            Place::Adjustments => -self.adjusted,
        }
    }

    /// Why nothing may be spent, if it may not.
    #[must_use]
    pub fn why_frozen(&self) -> Option<&str> {
        self.frozen.values().next().map(String::as_str)
    }

    /// Grants credits, until `expires` if that is given. The grant's id is [`Cause::grant_id`].
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
        self.grants.push(Grant {
            id,
            left: amount,
            expires: expires.map_or(NEVER, Timestamp::millis),
            expiries: 0,
        });
        self.settle_grants(at);
        Posting::moving(cause, at, &[(Place::Granted, Place::Available, amount)])
    }

    /// Takes back credits that were granted, as far as they are there, from the grant of `of` first. What was spent of
    /// them is told as not covered.
    pub fn refund(&mut self, of: GrantId, cause: Cause, amount: MicroCredits, at: Timestamp) -> Posting {
        self.take_spent();
        let taken = amount.min(self.available);
        self.granted -= taken;
        self.available -= taken;
        self.draw_first(of, taken);
        self.settle_grants(at);
        let posting = Posting::moving(cause, at, &[(Place::Available, Place::Granted, taken)]);
        Posting { uncovered: amount - taken, ..posting }
    }

    /// Gives credits, or takes them as far as they are there.
    pub(crate) fn adjust(&mut self, cause: Cause, amount: MicroCredits, at: Timestamp) -> Posting {
        self.take_spent();
        let moved = amount.max(-self.available);
        self.adjusted += moved;
        self.available += moved;
        if moved > MicroCredits::ZERO {
            let id = cause.grant_id(at);
            self.grants.push(Grant { id, left: moved, expires: NEVER, expiries: 0 });
        } else {
            self.draw(-moved);
        }
        self.settle_grants(at);
        let posting = Posting::moving(cause, at, &[(Place::Adjustments, Place::Available, moved)]);
        Posting { uncovered: moved - amount, ..posting }
    }

    /// Lets expire what is due, some of it if it is much. What runs hold stays until they have let go of it.
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
            postings.push(Posting::moving(cause, at, &[(Place::Available, Place::Expired, amount)]));
        }
        self.settle_grants(at);
        postings
    }

    /// Days of long ago, whose sums nobody asks for.
    pub(crate) fn old_days(&self) -> impl Iterator<Item = &String> {
        self.days.keys().rev().skip(DAYS)
    }

    /// Takes what was spent from the grants.
    fn take_spent(&mut self) {
        let spent = std::mem::take(&mut self.untaken);
        self.draw(spent);
    }

    /// Takes from the grants, those first that expire first.
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

    /// Brings the grants into order, forgets the empty ones, and notes when to look again.
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
