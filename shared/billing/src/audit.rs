//! What the tenant's audit trail says of its credits: every movement but those of runs, which the ledger tells of one by
//! one, and every change of what may be spent.

use sequent_core::{MicroCredits, PostingId, TenantId, Timestamp};
use sequent_tables::{Error, Row, key};
use serde::Serialize;

use crate::{Account, Cause, Place, Posting};

/// An entry of the trail.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    action: &'static str,
    at: Timestamp,
    /// What tells entries of one moment apart, the same for whoever writes the entry.
    id: PostingId,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum What {
    /// Credits moved.
    Moved { posting: PostingId, amount: MicroCredits, cause: Cause },
    /// What may be spent, or used, changed.
    Set { subject: String, value: String },
}

/// What is to be written of a change.
pub(crate) fn entries(
    (before, after): (&Account, &Account),
    postings: &[Posting],
    at: Timestamp,
) -> Vec<Entry> {
    let entry = |action, what| Entry { action, at, id: PostingId::new(), what };
    let moved = postings.iter().map(|posting| {
        let (amount, cause) = (posting.to(Place::Available), posting.cause.clone());
        entry(action(posting), What::Moved { posting: posting.id, amount, cause })
    });
    let set = |action, subject: &str, value: &str| {
        entry(action, What::Set { subject: subject.to_owned(), value: value.to_owned() })
    };
    let plan = (before.plan != after.plan).then(|| set("plan_changed", &before.plan, &after.plan));
    let frozen = after.frozen.iter().filter(|(object, _)| !before.frozen.contains_key(*object));
    let frozen = frozen.map(|(object, why)| set("account_frozen", object, why));
    let released = before.frozen.iter().filter(|(object, _)| !after.frozen.contains_key(*object));
    let released = released.map(|(object, why)| set("account_released", object, why));
    moved.chain(plan).chain(frozen).chain(released).collect()
}

fn action(posting: &Posting) -> &'static str {
    match &posting.cause {
        Cause::Expiry { .. } => "credits_expired",
        Cause::Admin { .. } => "credits_adjusted",
        _ if posting.to(Place::Granted) > MicroCredits::ZERO || posting.uncovered > MicroCredits::ZERO => {
            "credits_refunded"
        }
        _ => "credits_granted",
    }
}

impl Entry {
    /// The row that records it.
    pub(crate) fn row(&self, tenant: TenantId) -> Result<Row, Error> {
        Ok(Row::new(&key::audit(tenant, self.at, self.id), self)?.expires_at(self.at + key::AUDIT_KEPT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plans;

    #[test]
    fn every_movement_and_every_change_is_told() {
        let (before, at) = (Account::new(Plans::FREE), Timestamp::from_millis(1_000));
        let mut after = before.clone();
        let stripe = |effect: &str| Cause::Stripe { object: "in_1".to_owned(), effect: effect.to_owned() };
        let grant = after.grant(stripe("grant"), MicroCredits(500), None, at);
        let id = stripe("grant").grant_id(at);
        let refund = after.refund(id, stripe("refund"), MicroCredits(200), at);
        let adjusted =
            after.adjust(Cause::Admin { key: "1".to_owned(), reason: "r".to_owned() }, MicroCredits(-5), at);
        after.plan = "pro".to_owned();
        after.frozen.insert("dp_1".to_owned(), "a payment is disputed".to_owned());
        let told = entries((&before, &after), &[grant, refund, adjusted], at);
        let actions: Vec<&str> = told.iter().map(|entry| entry.action).collect();
        let all =
            ["credits_granted", "credits_refunded", "credits_adjusted", "plan_changed", "account_frozen"];
        assert_eq!(actions, all);
        let back = entries((&after, &before), &[], at);
        assert_eq!(
            back.iter().map(|entry| entry.action).collect::<Vec<_>>(),
            ["plan_changed", "account_released"]
        );
        let row = serde_json::to_value(&told[1]).unwrap();
        assert_eq!((&row["amount"], &row["cause"]["object"]), (&(-200).into(), &"in_1".into()));
    }
}
