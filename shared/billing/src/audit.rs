//! The tenant's audit trail of its credits: every movement except those of runs, which are in the ledger, and every change
//! of the plan and of frozen accounts.

use sequent_core::{MicroCredits, PostingId, TenantId, Timestamp};
use sequent_tables::{Error, Row, key};
use serde::Serialize;

use crate::{Account, Cause, LedgerAccount, Posting};

/// An entry of the audit trail.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AuditEntry {
    action: &'static str,
    at: Timestamp,
    /// Distinguishes entries of one millisecond.
    id: PostingId,
    #[serde(flatten)]
    subject: AuditSubject,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum AuditSubject {
    /// A movement of credits.
    Moved { posting: PostingId, amount: MicroCredits, cause: Cause },
    /// A change of the plan, or of a frozen account.
    Set { subject: String, value: String },
}

/// Returns the entries of a change of the account.
pub(crate) fn entries(
    before: &Account,
    after: &Account,
    postings: &[Posting],
    at: Timestamp,
) -> Vec<AuditEntry> {
    let entry = |action, subject| AuditEntry { action, at, id: PostingId::new(), subject };
    let moved = postings.iter().map(|posting| {
        let amount = posting.to(LedgerAccount::Available);
        let cause = posting.cause.clone();
        entry(action(posting), AuditSubject::Moved { posting: posting.id, amount, cause })
    });
    let set = |action, subject: &str, value: &str| {
        entry(action, AuditSubject::Set { subject: subject.to_owned(), value: value.to_owned() })
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
        _ if posting.to(LedgerAccount::Granted) > MicroCredits::ZERO
            || posting.uncovered > MicroCredits::ZERO =>
        {
            "credits_refunded"
        }
        _ => "credits_granted",
    }
}

impl AuditEntry {
    /// Builds the row of the entry.
    pub(crate) fn row(&self, tenant: TenantId) -> Result<Row, Error> {
        Ok(Row::new(&key::audit(tenant, self.at, self.id), self)?.expires_at(self.at + key::AUDIT_KEPT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plans;

    #[test]
    fn every_movement_and_every_change_has_an_entry() {
        let before = Account::new(Plans::FREE);
        let at = Timestamp::from_millis(1_000);
        let mut after = before.clone();
        let stripe = |effect: &str| Cause::Stripe { object: "in_1".to_owned(), effect: effect.to_owned() };
        let grant = after.grant(stripe("grant"), MicroCredits(500), None, at);
        let id = stripe("grant").grant_id(at);
        let refund = after.refund(id, stripe("refund"), MicroCredits(200), at);
        let adjusted =
            after.adjust(Cause::Admin { key: "1".to_owned(), reason: "r".to_owned() }, MicroCredits(-5), at);
        after.plan = "pro".to_owned();
        after.frozen.insert("dp_1".to_owned(), "a payment is disputed".to_owned());
        let trail = entries(&before, &after, &[grant, refund, adjusted], at);
        let actions: Vec<&str> = trail.iter().map(|entry| entry.action).collect();
        let all =
            ["credits_granted", "credits_refunded", "credits_adjusted", "plan_changed", "account_frozen"];
        assert_eq!(actions, all);
        let back = entries(&after, &before, &[], at);
        assert_eq!(
            back.iter().map(|entry| entry.action).collect::<Vec<_>>(),
            ["plan_changed", "account_released"]
        );
        let row = serde_json::to_value(&trail[1]).unwrap();
        assert_eq!((&row["amount"], &row["cause"]["object"]), (&(-200).into(), &"in_1".into()));
    }
}
