//! The ledger on a database with DynamoDB's semantics.

use std::time::Duration;

use sequent_billing::{
    Cause, Denied, Held, Ledger, Markup, Outcome, Payer, Place, Plan, Plans, Quote, Terms, hold, testing,
};
use sequent_core::{MicroCredits, MicroUsd, ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_event::Hold;
use sequent_tables::{Cancelled, Store, Transaction, testing as tables};

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

async fn take(store: &Store, hold: &Hold, payer: Payer, plan: &Plan) -> Result<(), Cancelled> {
    let now = Timestamp::now();
    hold::take(hold, Transaction::new(), store, (payer.tenant, payer.run), plan, now).run(store).await
}

fn stripe(object: &str, effect: &str) -> Cause {
    Cause::Stripe { object: object.to_owned(), effect: effect.to_owned() }
}

const QUOTE: Quote<'_> = Quote { model: Some("demo"), first_call: MicroUsd(10), budget: None };

#[tokio::test]
async fn a_run_pays_what_it_cost_and_never_more_than_was_held() {
    let (store, tenant) = (tables::store().await, TenantId::new());
    let (ledger, terms) = (Ledger::new(store.clone(), tenant), terms("{}"));
    let Held { hold, plan, .. } = ledger.quote(&terms, QUOTE, Timestamp::now()).await.unwrap().unwrap();
    assert_eq!((hold.amount, hold::most(&hold)), (MicroCredits(1000), MicroUsd(666)));
    for (cost, spent, uncovered) in [(100, 150, 0), (5000, 1000, 6500), (0, 0, 0)] {
        let (payer, before) = (payer(tenant), ledger.account(&terms).await.unwrap());
        take(&store, &hold, payer, &plan).await.unwrap();
        let held = ledger.account(&terms).await.unwrap();
        assert_eq!((held.reserved, held.available), (hold.amount, before.available - hold.amount));
        assert!(take(&store, &hold, payer, &plan).await.unwrap_err().condition_failed(0), "a run holds once");
        let writes = hold::settle(&hold, Transaction::new(), &store, payer, MicroUsd(cost), Timestamp::now());
        writes.run(&store).await.unwrap();
        let after = ledger.account(&terms).await.unwrap();
        assert_eq!((after.spent - before.spent, after.reserved), (MicroCredits(spent), MicroCredits::ZERO));
        let posting = hold::posting(&hold, payer, MicroUsd(cost), Timestamp::now());
        assert_eq!(
            (posting.to(Place::Spent), posting.uncovered),
            (MicroCredits(spent), MicroCredits(uncovered))
        );
    }
}

#[tokio::test]
async fn what_a_plan_does_not_allow_is_denied() {
    let (store, tenant) = (tables::store().await, TenantId::new());
    let ledger = Ledger::new(store.clone(), tenant);
    let terms = terms(r#"{"concurrent_runs": 2, "per_day": 2500, "models": ["demo"]}"#);
    let now = Timestamp::now();
    let denied = ledger.quote(&terms, Quote { model: Some("gpt-5"), ..QUOTE }, now).await.unwrap();
    assert!(matches!(denied, Err(Denied::Model { .. })), "{denied:?}");

    let Held { hold, plan, .. } = ledger.quote(&terms, QUOTE, now).await.unwrap().unwrap();
    let (first, second) = (payer(tenant), payer(tenant));
    take(&store, &hold, first, &plan).await.unwrap();
    take(&store, &hold, second, &plan).await.unwrap();
    let denied = ledger.quote(&terms, QUOTE, now).await.unwrap();
    assert_eq!(denied, Err(Denied::Concurrent { limit: 2 }));
    assert!(
        take(&store, &hold, payer(tenant), &plan).await.unwrap_err().condition_failed(0),
        "whoever did not ask"
    );
    // Both spend all they held, which leaves 500 of the day, and 1000 credits.
    for payer in [first, second] {
        let writes = hold::settle(&hold, Transaction::new(), &store, payer, MicroUsd(9999), Timestamp::now());
        writes.run(&store).await.unwrap();
    }
    let denied = ledger.quote(&terms, QUOTE, now).await.unwrap();
    assert_eq!(denied, Err(Denied::Daily { limit: MicroCredits(2500) }));

    let terms = Terms { plans: Plans::default(), ..terms };
    let much = Quote { first_call: MicroUsd(900), ..QUOTE };
    let (needed, available) = (MicroCredits(1350), MicroCredits(1000));
    assert_eq!(
        ledger.quote(&terms, much, now).await.unwrap(),
        Err(Denied::Insufficient { needed, available })
    );
}

#[tokio::test]
async fn a_cause_is_posted_once_and_what_expires_first_is_spent_first() {
    let (store, tenant) = (tables::store().await, TenantId::new());
    let (ledger, terms) = (Ledger::new(store.clone(), tenant), terms("{}"));
    ledger.account(&terms).await.unwrap();
    let now = Timestamp::now();
    let soon = now + Duration::from_secs(60);
    let later = soon + Duration::from_millis(1);
    let granted = ledger.grant(stripe("in_1", "grant"), MicroCredits(700), Some(soon)).await.unwrap();
    let Outcome::Posted(posting) = granted else { panic!("{granted:?}") };
    assert_eq!(posting.to(Place::Available), MicroCredits(700));
    for _ in 0..3 {
        let again = ledger.grant(stripe("in_1", "grant"), MicroCredits(700), Some(soon)).await.unwrap();
        assert_eq!(again, Outcome::Known);
    }
    // 150 of the 700 are spent, though 3000 others were there before them; 1000 are held when the rest expires.
    let plan = Plan::default();
    let spend = |cost| async move {
        let hold = hold::hold(MicroCredits(1000), Markup(150), now);
        let payer = payer(tenant);
        take(&store, &hold, payer, &Plan::default()).await.unwrap();
        hold::settle(&hold, Transaction::new(), &store, payer, MicroUsd(cost), now)
            .run(&store)
            .await
            .unwrap();
        store
    };
    let store = spend(100).await;
    let held = payer(tenant);
    let hold = hold::hold(MicroCredits(1000), Markup(150), later);
    assert!(
        take(&store, &hold, held, &plan).await.unwrap_err().condition_failed(0),
        "what is due expires first"
    );
    let account = ledger.expire(later).await.unwrap();
    assert_eq!(
        (account.expired, account.available, account.spent),
        (MicroCredits(550), MicroCredits(3000), MicroCredits(150))
    );
    take(&store, &hold, held, &plan).await.unwrap();

    // A refund takes what is there, and says what is not.
    let refunded =
        ledger.refund(account.grants[0].id, stripe("re_1", "refund"), MicroCredits(2500)).await.unwrap();
    let Outcome::Posted(refund) = refunded else { panic!("{refunded:?}") };
    assert_eq!((refund.to(Place::Available), refund.uncovered), (MicroCredits(-2000), MicroCredits(500)));
    let admin = Cause::Admin { key: "1".into(), reason: "goodwill".into() };
    ledger.adjust(admin.clone(), MicroCredits(40)).await.unwrap();
    assert_eq!(ledger.adjust(admin, MicroCredits(40)).await.unwrap(), Outcome::Known);
    assert_eq!(ledger.account(&terms).await.unwrap().available, MicroCredits(40));
}

/// Sixteen at once, on many accounts: whatever they do, the books are right at every moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_are_right_whatever_is_done_at_once() {
    let store = tables::store().await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    for n in 0..12 {
        let history = testing::history(&store, seed.wrapping_add(n), 16, 6).await;
        assert!(history.settled > 0 && history.postings > history.settled, "{history:?}");
    }
}

#[tokio::test]
async fn more_grants_may_expire_at_a_time_than_a_transaction_has_room_for() {
    let (store, tenant) = (tables::store().await, TenantId::new());
    let (ledger, terms) = (Ledger::new(store.clone(), tenant), terms("{}"));
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
