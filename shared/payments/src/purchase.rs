//! A purchase (an invoice or a checkout): the state applied here, and the step from it to the state at Stripe.
//!
//! Pure code. The credits to take back are a function of the money returned so far, not of the events that reported it, so
//! every order of events has the same result.

use std::collections::{BTreeMap, BTreeSet};

use sequent_billing::{Account, Cause, Posting};
use sequent_core::{GrantId, MicroCredits, Timestamp};
use serde::{Deserialize, Serialize};

/// The applied state of a purchase.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// Incremented by every change.
    pub version: u64,
    /// Id of the invoice or of the checkout session.
    pub id: String,
    /// The grant, once the purchase was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<Granted>,
    /// Credits that were taken back, including the uncovered part.
    #[serde(default)]
    pub reversed: MicroCredits,
    /// The part of `reversed` that had been spent already.
    #[serde(default)]
    pub uncovered: MicroCredits,
    /// Amounts of the counted refunds and lost disputes, by id.
    #[serde(default)]
    pub returned: BTreeMap<String, i64>,
    /// Ids of the disputes that freeze the account.
    #[serde(default)]
    pub disputed: BTreeSet<String>,
}

/// The credits that a purchase bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    pub id: GrantId,
    pub credits: MicroCredits,
    pub expires: Option<Timestamp>,
}

/// The state of a purchase at Stripe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) paid: bool,
    /// The paid amount in the currency's minor unit.
    pub(crate) amount: i64,
    pub(crate) credits: MicroCredits,
    pub(crate) expires: Option<Timestamp>,
    /// Amounts of refunds that did not fail and of disputes that were lost, by id.
    pub(crate) returned: BTreeMap<String, i64>,
    /// Ids of the disputes that the bank has not decided yet.
    pub(crate) disputed: BTreeSet<String>,
}

/// The changes that bring a purchase to its state at Stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PurchaseStep {
    grant: Option<Granted>,
    /// Additional credits to take back, or to return if negative, with the cause.
    reverse: Option<(Cause, MicroCredits)>,
    /// Ids of the disputes that have been decided.
    released: BTreeSet<String>,
    after: Purchase,
}

impl Purchase {
    /// Returns a purchase without any applied state.
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), ..Self::default() }
    }

    /// Returns the step to the state at Stripe, or `None` if nothing has to change. `expired` credits of the grant cannot be
    /// taken back, because they were not spent in time.
    pub(crate) fn next(&self, facts: &Facts, expired: MicroCredits, now: Timestamp) -> Option<PurchaseStep> {
        let new =
            (facts.paid && self.granted.is_none() && facts.credits > MicroCredits::ZERO).then(|| Granted {
                id: self.cause(&self.id, "grant").grant_id(now),
                credits: facts.credits,
                expires: facts.expires,
            });
        let granted = self.granted.as_ref().or(new.as_ref());
        let bought = granted.map_or(MicroCredits::ZERO, |granted| granted.credits);
        let due = share(bought, facts).min(bought - expired).max(MicroCredits::ZERO);
        let more = due - self.reversed;
        let after = Self {
            version: self.version + 1,
            granted: granted.cloned(),
            reversed: due,
            returned: facts.returned.clone(),
            disputed: facts.disputed.clone(),
            ..self.clone()
        };
        if (Self { version: self.version, ..after.clone() }) == *self {
            return None;
        }
        let reverse = (more != MicroCredits::ZERO).then(|| (self.why(facts, more), more));
        let released = self.disputed.difference(&facts.disputed).cloned().collect();
        Some(PurchaseStep { grant: new, reverse, released, after })
    }

    /// Returns the cause of a reversal: the refund or dispute that is counted now and was not before, or the reverse.
    fn why(&self, facts: &Facts, more: MicroCredits) -> Cause {
        let (from, to) = if more > MicroCredits::ZERO {
            (&facts.returned, &self.returned)
        } else {
            (&self.returned, &facts.returned)
        };
        let object = from.iter().rev().find(|(id, amount)| to.get(*id) != Some(amount));
        let object = object.map_or(self.id.as_str(), |(id, _)| id);
        self.cause(object, if more > MicroCredits::ZERO { "reversal" } else { "reversal_undone" })
    }

    fn cause(&self, object: &str, effect: &str) -> Cause {
        // An object can be counted, dropped and counted again. Each time is a cause of its own.
        let again = if effect == "grant" { String::new() } else { format!("#{}", self.version) };
        Cause::Stripe { object: object.to_owned(), effect: format!("{effect}{again}") }
    }
}

/// Returns the share of the credits that the returned money had bought.
fn share(bought: MicroCredits, facts: &Facts) -> MicroCredits {
    let returned: i64 = facts.returned.values().sum::<i64>().clamp(0, facts.amount.max(0));
    if facts.amount <= 0 {
        return MicroCredits::ZERO;
    }
    let part = i128::from(bought.0) * i128::from(returned) / i128::from(facts.amount);
    MicroCredits(i64::try_from(part).unwrap_or(i64::MAX))
}

impl PurchaseStep {
    /// Applies the step to the account. Returns the postings and the new state of the purchase.
    pub(crate) fn apply(&self, account: &mut Account, now: Timestamp) -> (Vec<Posting>, Purchase) {
        let mut postings = Vec::new();
        let mut after = self.after.clone();
        if let Some(granted) = &self.grant {
            let cause = Cause::Stripe { object: after.id.clone(), effect: "grant".to_owned() };
            postings.push(account.grant(cause, granted.credits, granted.expires, now));
        }
        if let (Some((cause, more)), Some(granted)) = (&self.reverse, &after.granted) {
            if *more > MicroCredits::ZERO {
                let posting = account.refund(granted.id, cause.clone(), *more, now);
                after.uncovered += posting.uncovered;
                postings.push(posting);
            } else {
                // Credits that were uncovered were never taken, so they are not returned.
                let back = -*more;
                let never = back.min(after.uncovered);
                after.uncovered -= never;
                if back > never {
                    postings.push(account.grant(cause.clone(), back - never, granted.expires, now));
                }
            }
        }
        let frozen = |id: &String| (id.clone(), format!("the payment of {} is disputed", after.id));
        account.frozen.extend(after.disputed.iter().map(frozen));
        account.frozen.retain(|object, _| !self.released.contains(object));
        (postings, after)
    }
}

#[cfg(test)]
mod tests;
