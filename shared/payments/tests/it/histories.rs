//! Random histories at Stripe. Their events arrive late, in any order, more than once or never, at workers that crash.
//!
//! In each history people subscribe, start trials, change plans, cancel, buy credits, pay at once, later or never, get refunds
//! and open disputes, while workers process the events. At the end, the account matches Stripe's objects, each payment has
//! one grant, and the ledger sums to zero.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use futures::future::join_all;
use sequent_billing::{Cause, Credits, Markup, Plans, Terms, testing::books};
use sequent_core::{MicroCredits, TenantId, Timestamp};
use sequent_model::price::Table;
use sequent_payments::{Article, Buyer, Catalog, Payments, Subscribed};
use sequent_stripe::{Client, Event, testing::Fake};
use sequent_tables::{Store, key, testing};
use serde_json::Value;

const CATALOG: &str = r#"{
    "plans": {
        "pro": {"prices": {"monthly": {"price": "price_pro", "credits": 20000003}}, "trial_days": 7, "trial_credits": 1000000},
        "team": {"prices": {"monthly": {"price": "price_team", "credits": 70000001}}}
    },
    "packs": {"small": {"price": "price_small", "credits": 5000007, "expires_days": 3650}}
}"#;
const WELCOME: MicroCredits = MicroCredits(777);

/// Number of histories, unless `STRIPE_HISTORIES` is set.
const HISTORIES: u64 = 3;
/// Number of orders of each history's events, unless `STRIPE_ORDERS` is set.
const ORDERS: u64 = 8;

struct World {
    fake: Fake,
    client: Client,
    payments: Payments,
    store: Store,
    tenant: TenantId,
    /// Events still to be delivered, each as often as it will be.
    due: Vec<Event>,
    /// Number of recorded events that were scheduled for delivery.
    heard: usize,
    /// Syncs that were completed, and syncs that were cut off.
    syncs: (usize, usize),
}

fn world(store: &Store, name: &str) -> World {
    let fake = Fake::new(name, Timestamp::now().seconds());
    fake.add_price("price_pro", 2000, true);
    fake.add_price("price_team", 7000, true);
    fake.add_price("price_small", 500, false);
    let terms = Terms {
        plans: Plans::default(),
        markup: Markup(100),
        usual_hold: MicroCredits(1000),
        welcome: WELCOME,
        unverified_usd: None,
        metered: false,
    };
    let credits = Credits::new(store.clone(), Some(terms), Table::default());
    let client = Client::new(fake.clone());
    let catalog = Catalog::from_json(CATALOG).unwrap();
    let payments = Payments::new(store.clone(), client.clone(), catalog, &credits).unwrap();
    let store = store.clone();
    let tenant = TenantId::new();
    World { fake, client, payments, store, tenant, due: Vec::new(), heard: 0, syncs: (0, 0) }
}

fn pick<'a>(random: &mut fastrand::Rng, all: &'a [Value]) -> Option<&'a str> {
    (!all.is_empty()).then(|| all[random.usize(..all.len())]["id"].as_str().unwrap())
}

impl World {
    /// Lets one random thing happen. The same seed gives the same history as long as our responses are the same.
    async fn happen(&self, random: &mut fastrand::Rng) {
        let fake = &self.fake;
        let one = |random: &mut fastrand::Rng, kind: &str| pick(random, &fake.all(kind)).map(str::to_owned);
        match random.u8(..21) {
            0..=2 => self.buy(Article::Plan { plan: "pro", price: None }, random).await,
            3 => self.buy(Article::Plan { plan: "team", price: Some("monthly") }, random).await,
            4..=6 => self.buy(Article::Pack { pack: "small", quantity: random.u32(1..4) }, random).await,
            7 => {
                let well = random.bool();
                one(random, "checkout.session").and_then(|id| fake.end_payment(&id, well));
            }
            8..=9 => {
                let paid = random.u8(..3) > 0;
                one(random, "subscription").and_then(|id| fake.renew(&id, paid));
            }
            10 => {
                one(random, "subscription").and_then(|id| fake.recover(&id));
            }
            11 => {
                let price = if random.bool() { "price_pro" } else { "price_team" };
                one(random, "subscription").and_then(|id| fake.change_price(&id, price));
            }
            12 => {
                let ends = random.u8(..3) > 0;
                one(random, "subscription").and_then(|id| fake.cancel_at_period_end(&id, ends));
            }
            13 => {
                one(random, "subscription")
                    .and_then(|id| if random.bool() { fake.cancel(&id) } else { fake.give_up(&id) });
            }
            14..=15 => {
                let amount = random.i64(1..2500);
                one(random, "payment_intent").and_then(|id| fake.refund(&id, amount));
            }
            16 => {
                one(random, "refund").and_then(|id| fake.fail_refund(&id));
            }
            17 => {
                one(random, "payment_intent").and_then(|id| fake.dispute(&id));
            }
            18 => {
                let won = random.bool();
                one(random, "dispute").and_then(|id| fake.close_dispute(&id, won));
            }
            19 => {
                // One in forty, so that customers live for a while.
                one(random, "customer").filter(|_| random.bool()).and_then(|id| fake.delete_customer(&id));
            }
            // Without this step, everything would happen within one second.
            _ => fake.advance(random.i64(1..5 * 86_400)),
        }
    }

    async fn buy(&self, article: Article<'_>, random: &mut fastrand::Rng) {
        let buyer = Buyer { tenant: self.tenant, email: Some("ada@example.com"), key: None };
        // A checkout is refused if the tenant has a subscription that we know of.
        if let Ok(page) = self.payments.checkout(buyer, article, "https://example.com/billing").await {
            match random.u8(..8) {
                0 => {}
                1 => drop(self.fake.pay(&page.id, false)),
                _ => drop(self.fake.pay(&page.id, true)),
            }
        }
    }

    /// Schedules the new events: each is delivered once to five times, or never.
    fn hear(&mut self, random: &mut fastrand::Rng) {
        let events = self.fake.events();
        for value in &events[self.heard..] {
            if random.u8(..10) == 0 {
                continue;
            }
            let event = Event::read(value.to_string().as_bytes()).unwrap();
            self.fake.delivered(&event.id);
            for _ in 0..random.u8(1..=5) {
                self.due.push(event.clone());
            }
        }
        self.heard = events.len();
    }

    /// Lets up to four workers process one random due event each. Some of them crash, and their event is delivered again.
    async fn work(&mut self, random: &mut fastrand::Rng) {
        let mut taken = Vec::new();
        for _ in 0..random.usize(1..5).min(self.due.len()) {
            taken.push(self.due.swap_remove(random.usize(..self.due.len())));
        }
        let syncs = taken.iter().map(|event| {
            let polls = if random.u8(..4) == 0 { random.u32(..60) } else { u32::MAX };
            let payments = self.payments.clone();
            async move {
                let Some(subject) = &event.subject else { return true };
                matches!(until(pin!(payments.sync(subject)), polls).await, Some(Ok(_)))
            }
        });
        let done = join_all(syncs).await;
        for (event, done) in taken.into_iter().zip(done) {
            if done {
                self.syncs.0 += 1;
            } else {
                self.syncs.1 += 1;
                self.due.push(event);
            }
        }
    }

    /// Computes the account that Stripe's objects imply.
    fn expected(&self) -> Expected {
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let number = |value: &Value, name: &str| value[name].as_i64().unwrap_or_default();
        let mut expected = Expected::default();
        let known = BTreeMap::from([
            ("price_pro", ("pro", 2000, 20_000_003)),
            ("price_team", ("team", 7000, 70_000_001)),
        ]);
        let price = |one: &Value| known[one["items"]["data"][0]["price"]["id"].as_str().unwrap()];
        let subscriptions = self.fake.all("subscription");
        let entitled = subscriptions
            .iter()
            .filter(|one| matches!(text(one, "status").as_str(), "active" | "trialing" | "past_due"));
        let latest = entitled.max_by_key(|one| (number(one, "created"), text(one, "id")));
        expected.plan = latest.map_or("free", |one| price(one).0).to_owned();
        let tried = subscriptions.iter().filter(|one| one["trial_end"].is_i64());
        let first = tried.min_by_key(|one| (number(one, "created"), text(one, "id")));
        expected.trials.extend(first.map(|one| text(one, "id")));
        let mut purchase = |id: String, credits: i64, paid: i64, intents: Vec<String>| {
            if credits > 0 {
                let of = |one: &Value| intents.contains(&text(one, "payment_intent"));
                let refunds =
                    self.fake.all("refund").into_iter().filter(|one| of(one) && one["status"] == "succeeded");
                let lost =
                    self.fake.all("dispute").into_iter().filter(|one| of(one) && one["status"] == "lost");
                let returned: i64 = refunds.chain(lost).map(|one| number(&one, "amount")).sum();
                let back = if paid == 0 {
                    0
                } else {
                    i128::from(credits) * i128::from(returned.min(paid)) / i128::from(paid)
                };
                expected.purchases.insert(id, (credits, i64::try_from(back).unwrap()));
            }
        };
        for invoice in self.fake.all("invoice").iter().filter(|one| one["status"] == "paid") {
            let lines = invoice["lines"]["data"].as_array().unwrap();
            let credits = lines.iter().map(|line| {
                let (_, unit, each) = known[line["pricing"]["price_details"]["price"].as_str().unwrap()];
                i64::try_from(i128::from(each) * i128::from(number(line, "amount")) / i128::from(unit))
                    .unwrap()
            });
            let payments = invoice["payments"]["data"].as_array().unwrap();
            let intents = payments.iter().map(|one| text(&one["payment"], "payment_intent")).collect();
            purchase(text(invoice, "id"), credits.sum(), number(invoice, "amount_paid"), intents);
        }
        for session in self.fake.all("checkout.session") {
            if session["mode"] == "payment" && session["payment_status"] == "paid" {
                let credits = 5_000_007 * number(&session, "amount_total") / 500;
                let intents = vec![text(&session, "payment_intent")];
                purchase(text(&session, "id"), credits, number(&session, "amount_total"), intents);
            }
        }
        let open = self.fake.all("dispute").into_iter().filter(|one| one["status"] == "needs_response");
        expected.frozen = open.map(|one| text(&one, "id")).collect();
        expected
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Expected {
    plan: String,
    trials: BTreeSet<String>,
    /// Credits bought by each payment, and credits taken back.
    purchases: BTreeMap<String, (i64, i64)>,
    frozen: BTreeSet<String>,
}

/// Polls a future at most `polls` times. Dropping it then is a crash.
async fn until<F: Future>(mut future: std::pin::Pin<&mut F>, mut polls: u32) -> Option<F::Output> {
    poll_fn(move |context| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Runs one history with one order of its events.
async fn run(store: &Store, seed: u64, order: u64) -> (usize, (usize, usize)) {
    let mut world = world(store, &format!("{seed}x{order}x"));
    let (mut history, mut random) = (
        fastrand::Rng::with_seed(seed),
        fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(order)),
    );
    // Workers run with different frequency, some only at the end.
    let diligence = random.u8(..4);
    for _ in 0..history.usize(5..40) {
        world.happen(&mut history).await;
        world.hear(&mut random);
        if random.u8(..4) < diligence && !world.due.is_empty() {
            world.work(&mut random).await;
        }
    }
    while !world.due.is_empty() {
        world.work(&mut random).await;
    }
    // The reconciliation finds the events that were never delivered.
    let missed = undelivered(&world.client).await;
    let (found, repaired) = world.payments.reconcile(Timestamp::now()).await.unwrap();
    assert_eq!(found, missed.len());
    assert_eq!(repaired, missed.iter().filter(|event| event.subject.is_some()).count());
    assert_eq!(world.payments.reconcile(Timestamp::now()).await.unwrap(), (found, 0), "once");
    world.due = missed;
    while !world.due.is_empty() {
        world.work(&mut random).await;
    }
    check(&world, seed, order).await;
    (world.heard, world.syncs)
}

async fn undelivered(client: &Client) -> Vec<Event> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = client.undelivered(0, after.as_deref()).await.unwrap();
        all.extend(page.events);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

async fn check(world: &World, seed: u64, order: u64) {
    let expected = world.expected();
    let at = format!("seed {seed}, order {order}");
    let trials = MicroCredits(1_000_000 * i64::try_from(expected.trials.len()).unwrap());
    let left: i64 = expected.purchases.values().map(|(bought, back)| bought - back).sum();
    if expected == (Expected { plan: "free".to_owned(), ..Expected::default() }) {
        return; // nothing was bought
    }
    let (account, postings) = books(&world.store, world.tenant, seed).await;
    assert_eq!(account.plan, expected.plan, "{at}");
    assert_eq!(account.frozen.keys().cloned().collect::<BTreeSet<_>>(), expected.frozen, "{at}");
    assert_eq!(account.available, WELCOME + trials + MicroCredits(left), "{at}: {expected:#?}");
    let mut granted: BTreeMap<String, i64> = BTreeMap::new();
    let mut tried = BTreeSet::new();
    for posting in &postings {
        match &posting.cause {
            Cause::Stripe { object, effect } if effect == "grant" => {
                let credits = posting.to(sequent_billing::LedgerAccount::Available).0;
                assert_eq!(granted.insert(object.clone(), credits), None, "{at}: {object} was granted twice");
            }
            Cause::Stripe { object, effect } if effect == "trial" => {
                assert!(tried.insert(object.clone()), "{at}")
            }
            _ => {}
        }
        assert_eq!(posting.uncovered, MicroCredits::ZERO, "{at}: nothing was spent");
    }
    let bought: BTreeMap<String, i64> =
        expected.purchases.iter().map(|(id, (bought, _))| (id.clone(), *bought)).collect();
    assert_eq!((granted, tried), (bought, expected.trials), "{at}");

    let row: Option<Subscribed> = world.store.get(&key::subscription(world.tenant)).await.unwrap();
    let shown = row.and_then(|row| row.subscription);
    match &shown {
        Some(shown) => {
            let all = world.fake.all("subscription");
            let stripes = all.iter().find(|one| one["id"] == shown.id.as_str()).unwrap();
            let status = serde_json::to_value(shown.status).unwrap();
            assert_eq!(stripes["status"], status, "{at}");
            assert_eq!(stripes["cancel_at"].as_i64(), shown.cancels_at.map(Timestamp::seconds), "{at}");
            let end = shown.current_period_end.map(Timestamp::seconds);
            assert_eq!(stripes["items"]["data"][0]["current_period_end"].as_i64(), end, "{at}");
        }
        None => assert!(world.fake.all("subscription").is_empty(), "{at}"),
    }
}

#[test]
fn whatever_comes_of_it_the_account_has_what_stripe_says() {
    let number =
        |name: &str, usual| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let histories = number("STRIPE_HISTORIES", HISTORIES);
    let orders = number("STRIPE_ORDERS", ORDERS);
    let first = number("STRIPE_SEED", 1);
    let begun = std::time::Instant::now();
    let mut events = 0;
    let mut syncs = 0;
    let mut cut = 0;
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let halves = std::thread::scope(|scope| {
        let half = |odd: u64| {
            let mut sums = (0, 0, 0);
            for seed in (first..first + histories).filter(|seed| seed % 2 == odd) {
                runtime().block_on(async {
                    let store = testing::store().await;
                    for order in 0..orders {
                        let (events, (done, cut)) = run(&store, seed, order).await;
                        sums = (sums.0 + events, sums.1 + done, sums.2 + cut);
                    }
                });
            }
            sums
        };
        let halves = [0, 1].map(|odd| scope.spawn(move || half(odd)));
        halves.map(|half| half.join().unwrap())
    });
    for half in halves {
        (events, syncs, cut) = (events + half.0, syncs + half.1, cut + half.2);
    }
    println!(
        "{histories} histories, {orders} orders: {events} events, {syncs} looks, {cut} cut off, {:?}",
        begun.elapsed()
    );
    assert!(syncs > 0 && cut > 0);
}
