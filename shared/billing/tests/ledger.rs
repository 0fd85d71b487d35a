//! The ledger, on a database with DynamoDB's semantics.

use std::time::Duration;

use sequent_billing::{
    Cause, Denied, Error, Ledger, LedgerAccount, Markup, Payer, Plan, Plans, PostOutcome, Quote, Reservation,
    Terms, hold, testing,
};
use sequent_core::{MicroCredits, MicroUsd, ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_event::Hold;
use sequent_tables::{Store, Transaction, testing as tables};

fn terms(free: &str) -> Terms {
    Terms {
        plans: Plans::from_json(&format!(r#"{{"free": {free}}}"#)).expect("plans"),
        markup: Markup(150),
        usual_hold: MicroCredits(1000),
        welcome: MicroCredits(3000),
        metered: false,
    }
}

fn payer(tenant: TenantId) -> Payer {
    Payer { tenant, run: RunId::new(), user: UserId::new(), project: ProjectId::new() }
}

/// Returns `false` if the account does not allow the hold.
async fn take(store: &Store, reservation: &Reservation, payer: Payer) -> bool {
    take_at(store, reservation, payer, Timestamp::now()).await
}

async fn take_at(store: &Store, reservation: &Reservation, payer: Payer, now: Timestamp) -> bool {
    store.write_if(reservation.update(payer.tenant, payer.run, now)).await.expect("the table answers")
}

async fn settle(store: &Store, hold: &Hold, payer: Payer, cost: u64) {
    let writes = hold::settle(hold, payer, MicroUsd(cost), Timestamp::now());
    writes
        .into_iter()
        .fold(Transaction::new(), Transaction::write)
        .run(store)
        .await
        .expect("the table answers");
}

async fn denied(ledger: &Ledger, terms: &Terms, quote: Quote<'_>) -> Denied {
    match ledger.quote(terms, quote, Timestamp::now()).await {
        Err(Error::Denied(denied)) => denied,
        other => panic!("{other:?}"),
    }
}

fn stripe(object: &str, effect: &str) -> Cause {
    Cause::Stripe { object: object.to_owned(), effect: effect.to_owned() }
}

const QUOTE: Quote<'_> = Quote { model: Some("demo"), first_call: MicroUsd(10), budget: None };

#[tokio::test]
async fn a_run_pays_its_price_and_never_more_than_its_hold() {
    let store = tables::store().await;
    let tenant = TenantId::new();
    let ledger = Ledger::new(store.clone(), tenant);
    let terms = terms("{}");
    let reservation = ledger.quote(&terms, QUOTE, Timestamp::now()).await.unwrap();
    let hold = &reservation.hold;
    assert_eq!((hold.amount, reservation.max_cost()), (MicroCredits(1000), MicroUsd(666)));
    for (cost, spent, uncovered) in [(100, 150, 0), (5000, 1000, 6500), (0, 0, 0)] {
        let payer = payer(tenant);
        let before = ledger.account(&terms).await.unwrap();
        assert!(take(&store, &reservation, payer).await);
        let held = ledger.account(&terms).await.unwrap();
        assert_eq!((held.reserved, held.available), (hold.amount, before.available - hold.amount));
        assert!(!take(&store, &reservation, payer).await, "a run holds once");
        settle(&store, hold, payer, cost).await;
        let after = ledger.account(&terms).await.unwrap();
        assert_eq!((after.spent - before.spent, after.reserved), (MicroCredits(spent), MicroCredits::ZERO));
        let posting = hold::posting(hold, payer, MicroUsd(cost), Timestamp::now());
        let found = (posting.to(LedgerAccount::Spent), posting.uncovered);
        assert_eq!(found, (MicroCredits(spent), MicroCredits(uncovered)));
    }
}

#[tokio::test]
async fn a_plan_denies_runs_beyond_its_limits() {
    let store = tables::store().await;
    let tenant = TenantId::new();
    let ledger = Ledger::new(store.clone(), tenant);
    let terms = terms(r#"{"concurrent_runs": 2, "per_day": 2500, "models": ["demo"]}"#);
    let other_model = denied(&ledger, &terms, Quote { model: Some("gpt-5"), ..QUOTE }).await;
    assert!(matches!(other_model, Denied::Model { .. }), "{other_model:?}");

    let reservation = ledger.quote(&terms, QUOTE, Timestamp::now()).await.unwrap();
    let runs = [payer(tenant), payer(tenant)];
    for run in runs {
        assert!(take(&store, &reservation, run).await);
    }
    assert_eq!(denied(&ledger, &terms, QUOTE).await, Denied::Concurrent { limit: 2 });
    assert!(!take(&store, &reservation, payer(tenant)).await, "the write checks the limit itself");
    // Both spend their whole hold, which leaves 500 of the day and 1000 credits.
    for run in runs {
        settle(&store, &reservation.hold, run, 9999).await;
    }
    assert_eq!(denied(&ledger, &terms, QUOTE).await, Denied::Daily { limit: MicroCredits(2500) });

    let terms = Terms { plans: Plans::default(), ..terms };
    let expensive = Quote { first_call: MicroUsd(900), ..QUOTE };
    let needed = MicroCredits(1350);
    let available = MicroCredits(1000);
    assert_eq!(denied(&ledger, &terms, expensive).await, Denied::Insufficient { needed, available });
}

#[tokio::test]
async fn a_cause_is_posted_once_and_the_first_grant_to_expire_is_spent_first() {
    let store = tables::store().await;
    let tenant = TenantId::new();
    let ledger = Ledger::new(store.clone(), tenant);
    let terms = terms("{}");
    ledger.account(&terms).await.unwrap();
    let now = Timestamp::now();
    let soon = now + Duration::from_secs(60);
    let later = soon + Duration::from_millis(1);
    let granted = ledger.grant(stripe("in_1", "grant"), MicroCredits(700), Some(soon)).await.unwrap();
    let PostOutcome::Posted(posting) = granted else { panic!("{granted:?}") };
    assert_eq!(posting.to(LedgerAccount::Available), MicroCredits(700));
    for _ in 0..3 {
        let again = ledger.grant(stripe("in_1", "grant"), MicroCredits(700), Some(soon)).await.unwrap();
        assert_eq!(again, PostOutcome::Known);
    }
    // 150 of the 700 are spent, although the 3000 of the welcome grant are older. 1000 are held when the rest expires.
    let reservation = |at| Reservation {
        hold: hold::hold(MicroCredits(1000), Markup(150), at),
        plan: Plan::default(),
        first_today: false,
    };
    let first = payer(tenant);
    assert!(take_at(&store, &reservation(now), first, now).await);
    settle(&store, &reservation(now).hold, first, 100).await;
    let second = payer(tenant);
    let held = reservation(later);
    assert!(!take_at(&store, &held, second, later).await, "a due grant expires before the next hold");
    let account = ledger.expire(later).await.unwrap();
    assert_eq!(
        (account.expired, account.available, account.spent),
        (MicroCredits(550), MicroCredits(3000), MicroCredits(150))
    );
    assert!(take_at(&store, &held, second, later).await);

    // A refund takes the credits that are there, and reports the rest.
    let refunded =
        ledger.refund(account.grants[0].id, stripe("re_1", "refund"), MicroCredits(2500)).await.unwrap();
    let PostOutcome::Posted(refund) = refunded else { panic!("{refunded:?}") };
    let found = (refund.to(LedgerAccount::Available), refund.uncovered);
    assert_eq!(found, (MicroCredits(-2000), MicroCredits(500)));
    let admin = Cause::Admin { key: "1".into(), reason: "goodwill".into() };
    ledger.adjust(admin.clone(), MicroCredits(40)).await.unwrap();
    assert_eq!(ledger.adjust(admin, MicroCredits(40)).await.unwrap(), PostOutcome::Known);
    assert_eq!(ledger.account(&terms).await.unwrap().available, MicroCredits(40));
}

#[tokio::test]
async fn a_grant_whose_answer_is_lost_is_posted_once_and_reported_as_posted() {
    let (store, faults) = tables::faulty_store().await;
    let ledger = Ledger::new(store.clone(), TenantId::new());
    let terms = terms("{}");
    ledger.account(&terms).await.unwrap();
    faults.plan([tables::Fault::None, tables::Fault::LostAnswer]);
    let granted = ledger.grant(stripe("in_1", "grant"), MicroCredits(700), None).await.unwrap();
    assert!(matches!(granted, PostOutcome::Posted(_)), "{granted:?}");
    assert_eq!(faults.left(), 0, "the answer to the write was lost");
    assert_eq!(ledger.account(&terms).await.unwrap().available, MicroCredits(3700));
}

/// Sixteen spenders at once, on many accounts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_are_right_at_every_moment_of_concurrent_histories() {
    let store = tables::store().await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    for n in 0..12 {
        let history = testing::history(&store, seed.wrapping_add(n), 16, 6).await;
        assert!(history.settled > 0 && history.postings > history.settled, "{history:?}");
    }
}

#[tokio::test]
async fn more_grants_can_expire_at_once_than_fit_a_transaction() {
    let store = tables::store().await;
    let tenant = TenantId::new();
    let ledger = Ledger::new(store.clone(), tenant);
    let terms = terms("{}");
    ledger.account(&terms).await.unwrap();
    let past = Timestamp::from_millis(Timestamp::now().millis() - 1000);
    for n in 0..60 {
        ledger.grant(stripe(&format!("in_{n}"), "grant"), MicroCredits(10), Some(past)).await.unwrap();
    }
    for left in [350, 100, 0, 0] {
        let account = ledger.expire(Timestamp::now()).await.unwrap();
        assert_eq!(account.available, terms.welcome + MicroCredits(left));
    }
    testing::books(&store, tenant, 0).await;
}
