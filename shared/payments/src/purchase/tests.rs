use sequent_billing::{LedgerAccount, Plans};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_763_700_000_000);

fn facts(returned: &[(&str, i64)], disputed: &[&str]) -> Facts {
    Facts {
        paid: true,
        amount: 2000,
        credits: MicroCredits(999),
        expires: None,
        returned: returned.iter().map(|(id, amount)| ((*id).to_owned(), *amount)).collect(),
        disputed: disputed.iter().map(|id| (*id).to_owned()).collect(),
    }
}

/// Applies the facts and returns the effects that moved credits.
fn take(account: &mut Account, purchase: &mut Purchase, facts: &Facts) -> Vec<String> {
    let Some(step) = purchase.next(facts, MicroCredits::ZERO, NOW) else { return Vec::new() };
    let (postings, after) = step.apply(account, NOW);
    *purchase = after;
    assert!(postings.iter().all(Posting::is_balanced));
    let effect = |posting: &Posting| match &posting.cause {
        Cause::Stripe { object, effect } => {
            format!("{object} {effect} {}", posting.to(LedgerAccount::Available).0)
        }
        other => panic!("{other:?}"),
    };
    postings.iter().map(effect).collect()
}

fn new() -> (Account, Purchase) {
    (Account::new(Plans::FREE), Purchase::new("in_1"))
}

#[test]
fn a_payment_is_granted_once_and_not_before_it_is_made() {
    let (mut account, mut purchase) = new();
    let open = Facts { paid: false, ..facts(&[], &[]) };
    assert_eq!(take(&mut account, &mut purchase, &open), [""; 0]);
    assert_eq!(take(&mut account, &mut purchase, &facts(&[], &[])), ["in_1 grant 999"]);
    let dearer = Facts { credits: MicroCredits(5000), ..facts(&[], &[]) };
    assert_eq!(take(&mut account, &mut purchase, &dearer), [""; 0], "what was sold stays what it was");
    assert_eq!(account.available, MicroCredits(999));
}

#[test]
fn parts_that_are_given_back_add_up_to_all_of_it() {
    let (mut account, mut purchase) = new();
    let parts = [("re_1", 667), ("re_2", 667), ("re_3", 666)];
    for n in 0..=parts.len() {
        take(&mut account, &mut purchase, &facts(&parts[..n], &[]));
    }
    assert_eq!((account.available, account.granted), (MicroCredits(0), MicroCredits(0)));
    // The order of the events does not matter, nor does applying all of them at once.
    let (mut at_once, mut other) = new();
    assert_eq!(
        take(&mut at_once, &mut other, &facts(&parts, &[])),
        ["in_1 grant 999", "re_3 reversal#0 -999"]
    );
}

#[test]
fn a_refund_that_fails_is_undone_as_far_as_it_took_something() {
    let (mut account, mut purchase) = new();
    take(&mut account, &mut purchase, &facts(&[], &[]));
    // All credits but 99 are spent.
    account.available = MicroCredits(99);
    account.untaken = MicroCredits(900);
    assert_eq!(take(&mut account, &mut purchase, &facts(&[("re_1", 2000)], &[])), ["re_1 reversal#1 -99"]);
    assert_eq!((purchase.reversed, purchase.uncovered), (MicroCredits(999), MicroCredits(900)));
    assert_eq!(take(&mut account, &mut purchase, &facts(&[], &[])), ["re_1 reversal_undone#2 99"]);
    assert_eq!((account.available, purchase.uncovered), (MicroCredits(99), MicroCredits(0)));
    assert_eq!(take(&mut account, &mut purchase, &facts(&[("re_1", 2000)], &[])), ["re_1 reversal#3 -99"]);
}

#[test]
fn a_dispute_freezes_until_it_is_decided() {
    let (mut account, mut purchase) = new();
    take(&mut account, &mut purchase, &facts(&[], &["dp_1"]));
    assert!(account.why_frozen().unwrap().contains("in_1"));
    assert_eq!(take(&mut account, &mut purchase, &facts(&[("dp_1", 2000)], &[])), ["dp_1 reversal#1 -999"]);
    assert_eq!((account.why_frozen(), account.available), (None, MicroCredits(0)), "lost");

    let (mut account, mut purchase) = new();
    take(&mut account, &mut purchase, &facts(&[], &["dp_1"]));
    assert_eq!(take(&mut account, &mut purchase, &facts(&[], &[])), [""; 0]);
    assert_eq!((account.why_frozen(), account.available), (None, MicroCredits(999)), "won");
}

#[test]
fn what_expired_is_not_taken_from_other_credits() {
    let (mut account, mut purchase) = new();
    take(&mut account, &mut purchase, &facts(&[], &[]));
    let step = |expired: i64, amount: i64| {
        let step = purchase.next(&facts(&[("re_1", amount)], &[]), MicroCredits(expired), NOW);
        step.and_then(|step| step.reverse).map(|(_, more)| more.0)
    };
    assert_eq!(step(0, 2000), Some(999));
    assert_eq!(step(600, 2000), Some(399), "that much was spent");
    assert_eq!(step(999, 2000), None);
    assert_eq!(step(600, 500), Some(249));
}

#[test]
fn nothing_is_given_for_nothing() {
    let (mut account, mut purchase) = new();
    let trial = Facts { amount: 0, credits: MicroCredits::ZERO, ..facts(&[], &[]) };
    assert_eq!(take(&mut account, &mut purchase, &trial), [""; 0]);
    let free = Facts { amount: 0, ..facts(&[], &[]) };
    assert_eq!(take(&mut account, &mut purchase, &free), ["in_1 grant 999"], "a coupon pays as well");
    assert_eq!(
        take(&mut account, &mut purchase, &Facts { amount: 0, ..facts(&[("re_1", 5)], &[]) }),
        [""; 0]
    );
}
