//! Something that was bought, an invoice or a checkout: what has become of it here, and what Stripe says should have.
//!
//! Plain code. What is taken back is a function of what has been returned so far, not of the events that told of it, so
//! that any order of them leads to the same.

use std::collections::{BTreeMap, BTreeSet};

use sequent_billing::{Account, Cause, Posting};
use sequent_core::{GrantId, MicroCredits, Timestamp};
use serde::{Deserialize, Serialize};

/// What has been taken over of a purchase.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// Raised by every change.
    pub version: u64,
    /// The invoice or the checkout session.
    pub id: String,
    /// What it bought, once it was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<Granted>,
    /// What was taken back, or was to be.
    #[serde(default)]
    pub reversed: MicroCredits,
    /// The part of it that had been spent already.
    #[serde(default)]
    pub uncovered: MicroCredits,
    /// The refunds and lost disputes that were counted, with their amounts.
    #[serde(default)]
    pub returned: BTreeMap<String, i64>,
    /// Disputes that freeze the account.
    #[serde(default)]
    pub disputed: BTreeSet<String>,
}

/// What a purchase bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The grant.
    pub id: GrantId,
    /// How many credits.
    pub credits: MicroCredits,
    /// When they expire.
    pub expires: Option<Timestamp>,
}

/// What Stripe says of a purchase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whether it was paid.
    pub(crate) paid: bool,
    /// What was paid, in the currency's smallest unit.
    pub(crate) amount: i64,
    /// What it buys.
    pub(crate) credits: MicroCredits,
    /// When that expires.
    pub(crate) expires: Option<Timestamp>,
    /// Refunds that were not turned back and disputes that were lost, with their amounts.
    pub(crate) returned: BTreeMap<String, i64>,
    /// Disputes that the bank has not decided.
    pub(crate) disputed: BTreeSet<String>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    grant: Option<Granted>,
    /// How much more is to be taken back; less, if it is negative. With what it is for.
    reverse: Option<(Cause, MicroCredits)>,
    /// Disputes that are over.
    released: BTreeSet<String>,
    after: Purchase,
}

impl Purchase {
    /// A purchase of which nothing is known yet.
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), ..Self::default() }
    }

    /// What is to be done for the purchase to stand as Stripe says. `expired` of its credits were not spent in time: who
    /// has them paid back has nothing to give for them. `None`: it stands so already.
    pub(crate) fn next(&self, facts: &Facts, expired: MicroCredits, now: Timestamp) -> Option<Step> {
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
        Some(Step { grant: new, reverse, released, after })
    }

    /// What a change of what is taken back is for: the object that was counted last, or is no longer.
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
        // An object that is counted, and then not, and then again, is another cause each time.
        let again = if effect == "grant" { String::new() } else { format!("#{}", self.version) };
        Cause::Stripe { object: object.to_owned(), effect: format!("{effect}{again}") }
    }
}

/// The part of the credits that the returned part of the money had bought.
fn share(bought: MicroCredits, facts: &Facts) -> MicroCredits {
    let returned: i64 = facts.returned.values().sum::<i64>().clamp(0, facts.amount.max(0));
    if facts.amount <= 0 {
        return MicroCredits::ZERO;
    }
    let part = i128::from(bought.0) * i128::from(returned) / i128::from(facts.amount);
    MicroCredits(i64::try_from(part).unwrap_or(i64::MAX))
}

impl Step {
    /// Does it to the account: what moved, and how the purchase stands then.
    pub(crate) fn apply(&self, account: &mut Account, now: Timestamp) -> (Vec<Posting>, Purchase) {
        let (mut postings, mut after) = (Vec::new(), self.after.clone());
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
                // What was never taken is not given back.
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
