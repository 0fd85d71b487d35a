//! The ledger, on a database with DynamoDB's semantics.

use std::time::Duration;

use sequent_billing::{
    Cause, Credits, Denied, Error, Ledger, LedgerAccount, Markup, Payer, Plan, Plans, PostOutcome,
    PricedRequest, Quote, Reservation, Terms, hold, testing,
};
use sequent_core::{MicroCredits, MicroUsd, ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_event::Hold;
use sequent_model::price::Table;
use sequent_tables::{CursorKey, Store, Transaction, Update, key, testing as tables};

fn terms(free: &str) -> Terms {
    Terms {
        plans: Plans::from_json(&format!(r#"{{"free": {free}}}"#)).expect("plans"),
        markup: Markup(150),
        usual_hold: MicroCredits(1000),
        welcome: MicroCredits(3000),
        unverified_usd: None,
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
    match ledger.reserve(terms, quote, Timestamp::now()).await {
        Err(Error::Denied(denied)) => denied,
        other => panic!("{other:?}"),
    }
}

fn stripe(object: &str, effect: &str) -> Cause {
    Cause::Stripe { object: object.to_owned(), effect: effect.to_owned() }
}

const QUOTE: Quote<'_> =
    Quote { model: Some("demo"), fallbacks: &[], first_call: MicroUsd(10), budget: None };

#[tokio::test]
async fn a_run_pays_its_price_and_never_more_than_its_hold() {
    let store = tables::store().await;
    let tenant = TenantId::new();
    let ledger = Ledger::new(store.clone(), tenant);
    let terms = terms("{}");
    let reservation = ledger.reserve(&terms, QUOTE, Timestamp::now()).await.unwrap();
    let hold = &reservation.hold;
    assert_eq!((hold.amount, reservation.max_cost()), (MicroCredits(1000), Some(MicroUsd(666))));
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

    let reservation = ledger.reserve(&terms, QUOTE, Timestamp::now()).await.unwrap();
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
async fn only_the_end_of_a_run_that_holds_enough_makes_room() {
    let store = tables::store().await;
    let tenant = TenantId::new();
    let ledger = Ledger::new(store.clone(), tenant);
    let terms = terms(r#"{"concurrent_runs": 1, "per_day": 1500}"#);
    let has_room = |live: RunId, quote| ledger.has_room_without(live, &terms, quote, Timestamp::now());
    assert!(!has_room(RunId::new(), QUOTE).await.unwrap(), "there is no account yet");

    let reservation = ledger.reserve(&terms, QUOTE, Timestamp::now()).await.unwrap();
    let live = payer(tenant);
    assert!(take(&store, &reservation, live).await);
    assert!(ledger.holds_for(live.run).await.unwrap());
    assert_eq!(denied(&ledger, &terms, QUOTE).await, Denied::Concurrent { limit: 1 });
    assert!(has_room(live.run, QUOTE).await.unwrap());
    assert!(!has_room(RunId::new(), QUOTE).await.unwrap(), "that run holds nothing");
    // The slot would be free, but 3000 credits are not enough, and 1500 are the limit of the day.
    for first_call in [2001, 1001] {
        assert!(!has_room(live.run, Quote { first_call: MicroUsd(first_call), ..QUOTE }).await.unwrap());
    }
    assert!(has_room(live.run, Quote { first_call: MicroUsd(1000), ..QUOTE }).await.unwrap());
    assert!(!has_room(live.run, Quote { budget: Some(MicroUsd(1)), ..QUOTE }).await.unwrap());

    settle(&store, &reservation.hold, live, 100).await;
    assert!(!ledger.holds_for(live.run).await.unwrap());
    assert!(!has_room(live.run, QUOTE).await.unwrap());
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

#[tokio::test]
async fn a_start_is_refused_unless_its_hold_covers_the_first_call() {
    let store = tables::store().await;
    let ledger = Ledger::new(store.clone(), TenantId::new());
    let terms = terms("{}");
    // Ten micro-dollars cost fifteen micro-credits.
    for (budget, limit) in [(0, 0), (1, 2), (9, 14)] {
        let quote = Quote { budget: Some(MicroUsd(budget)), ..QUOTE };
        let expected = Denied::Limit { needed: MicroCredits(15), limit: MicroCredits(limit) };
        assert_eq!(denied(&ledger, &terms, quote).await, expected, "a budget of {budget}");
    }
    let enough = Quote { budget: Some(MicroUsd(10)), ..QUOTE };
    let held = ledger.reserve(&terms, enough, Timestamp::now()).await.unwrap();
    assert_eq!(held.hold.amount, MicroCredits(15));
}

#[tokio::test]
async fn the_price_of_the_default_model_is_known_at_the_start() {
    let store = tables::store().await;
    let tenant = TenantId::new();
    let prices = || Table::from_json(r#"{"own": {"input": 1000000, "output": 2000000}}"#).unwrap();
    let terms = Terms { welcome: MicroCredits(2000), markup: Markup(100), ..terms("{}") };
    let credits = Credits::new(store, Some(terms), prices());
    let request = PricedRequest { model: None, fallbacks: &[], bytes: 0, budget: None };
    let with = |name: &str| credits.clone().with_default_models(vec![name.parse().unwrap()]);
    // A thousand tokens of input and of output: 1000 and 2000 micro-dollars.
    let denied = with("own").reserve(tenant, request).await.unwrap_err();
    let needed = MicroCredits(3000);
    let available = MicroCredits(2000);
    assert!(matches!(denied, Error::Denied(found) if found == Denied::Insufficient { needed, available }));
    let denied = with("unknown").reserve(tenant, request).await.unwrap_err();
    assert!(matches!(denied, Error::Denied(Denied::Unpriced(model)) if model == "unknown"));
    assert!(with("demo").reserve(tenant, request).await.unwrap().is_some());
}

#[tokio::test]
async fn attributes_of_a_newer_version_survive_every_change_of_the_account() {
    let store = tables::store().await;
    let tenant = TenantId::new();
    let ledger = Ledger::new(store.clone(), tenant);
    let terms = terms("{}");
    ledger.account(&terms).await.unwrap();
    store.write(Update::of(&key::account(tenant)).set("newer", "kept")).await.unwrap();
    ledger.grant(stripe("in_1", "grant"), MicroCredits(700), None).await.unwrap();
    ledger.adjust(Cause::Admin { key: "1".into(), reason: "test".into() }, MicroCredits(-40)).await.unwrap();
    ledger.expire(Timestamp::now()).await.unwrap();
    let reservation = ledger.reserve(&terms, QUOTE, Timestamp::now()).await.unwrap();
    let payer = payer(tenant);
    assert!(take(&store, &reservation, payer).await);
    settle(&store, &reservation.hold, payer, 100).await;
    let row: serde_json::Value = store.get(&key::account(tenant)).await.unwrap().unwrap();
    assert_eq!((&row["newer"], &row["granted"]), (&"kept".into(), &3700.into()), "{row}");
    testing::books(&store, tenant, 0).await;
}

#[tokio::test]
async fn a_list_of_postings_begins_at_any_time() {
    let store = tables::store().await;
    let tenant = TenantId::new();
    let ledger = Ledger::new(store.clone(), tenant);
    let mut times = Vec::new();
    for n in 0..4 {
        let cause = stripe(&format!("in_{n}"), "grant");
        let PostOutcome::Posted(posting) = ledger.grant(cause, MicroCredits(1), None).await.unwrap() else {
            panic!("each cause is new")
        };
        times.push(posting.id.created_at());
        while Timestamp::now() <= posting.id.created_at() {
            tokio::task::yield_now().await;
        }
    }
    let until = async |at| ledger.postings_until(at, Some(1)).await.unwrap().items;
    for at in &times {
        let found = until(*at).await;
        assert_eq!(found[0].id.created_at(), *at, "the newest that is not later");
    }
    let before = Timestamp::from_millis(times[0].millis() - 1);
    assert_eq!(until(before).await, []);
    let cursors = CursorKey::new("only this process uses the cursors".to_owned().into());
    let first = ledger.postings_until(times[2], Some(1)).await.unwrap();
    let next = first.next_cursor(&cursors).expect("another page");
    let second = ledger.postings(&cursors, Some(&next), Some(1)).await.unwrap().items;
    assert_eq!(second[0].id.created_at(), times[1]);
}
