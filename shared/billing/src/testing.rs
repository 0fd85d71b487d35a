//! Random concurrent histories of an account, and a check of its invariants at every moment.

use std::sync::Arc;

use futures::future::join_all;
use sequent_core::{MicroCredits, MicroUsd, ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_tables::{Cancelled, CursorKey, PageRequest, Retry, Store, Transaction, key};

use crate::{
    Account, Cause, Error, Ledger, LedgerAccount, Markup, NEVER, Payer, Plans, Posting, PostingEntry, Quote,
    Reservation, Terms, hold,
};

/// All accounts of the ledger.
const LEDGER_ACCOUNTS: [LedgerAccount; 6] = [
    LedgerAccount::Granted,
    LedgerAccount::Available,
    LedgerAccount::Reserved,
    LedgerAccount::Spent,
    LedgerAccount::Expired,
    LedgerAccount::Adjustments,
];

/// The result of a history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// Runs that were held and settled.
    pub settled: usize,
    /// Runs that were refused their hold.
    pub refused: usize,
    /// Postings in the ledger.
    pub postings: usize,
}

/// Lets `spenders` take `steps` random steps each, concurrently, with the account of a new tenant. Each checks the account
/// after each of its steps. At the end the ledger is added up.
///
/// # Panics
/// Panics if an invariant does not hold.
pub async fn history(store: &Store, seed: u64, spenders: usize, steps: usize) -> History {
    let tenant = TenantId::new();
    let ledger = Ledger::new(store.clone(), tenant);
    let terms = Arc::new(Terms {
        plans: Plans::from_json(r#"{"free": {"concurrent_runs": 1000, "per_run": 90}}"#).expect("plans"),
        markup: Markup(100),
        usual_hold: MicroCredits(60),
        welcome: MicroCredits(500),
        unverified_usd: None,
        metered: false,
    });
    let mut seeds = fastrand::Rng::with_seed(seed);
    let tasks = (0..spenders).map(|n| {
        let random = fastrand::Rng::with_seed(seeds.u64(..));
        spend(store.clone(), ledger.clone(), tenant, Arc::clone(&terms), random, (n, steps))
    });
    let done = join_all(tasks).await;
    let account = checked(&ledger, &terms).await;
    assert!(account.holds.is_empty() && account.reserved == MicroCredits::ZERO, "seed {seed}: {account:?}");
    let postings = all(store, tenant).await;
    check(&account, &postings, seed);
    History {
        settled: done.iter().map(|history| history.settled).sum(),
        refused: done.iter().map(|history| history.refused).sum(),
        postings: postings.len(),
    }
}

/// Returns the account of a tenant and its ledger, newest posting first, after a check that they agree.
///
/// # Panics
/// Panics if they do not agree, or if the tenant has no account.
pub async fn books(store: &Store, tenant: TenantId, seed: u64) -> (Account, Vec<Posting>) {
    let account = store.get(&key::account(tenant)).await.expect("the table answers").expect("an account");
    let postings = all(store, tenant).await;
    check(&account, &postings, seed);
    (account, postings)
}

async fn spend(
    store: Store,
    ledger: Ledger,
    tenant: TenantId,
    terms: Arc<Terms>,
    mut random: fastrand::Rng,
    (n, steps): (usize, usize),
) -> History {
    let mut history = History::default();
    for step in 0..steps {
        // Causes repeat, among the spenders and for one spender.
        let object = format!("in_{}", random.usize(..n % 4 + step + 1));
        let effect = |effect: &str| Cause::Stripe { object: object.clone(), effect: effect.to_owned() };
        let amount = MicroCredits(random.i64(1..200));
        match random.u8(..10) {
            0 => {
                let expires = random
                    .bool()
                    .then(|| Timestamp::from_millis(Timestamp::now().millis() + random.i64(-50..200)));
                until_free(|| ledger.grant(effect("grant"), amount, expires)).await;
            }
            1 => {
                let of = effect("grant").grant_id(Timestamp::now());
                until_free(|| ledger.refund(of, effect("refund"), amount)).await;
            }
            2 => {
                let amount = if random.bool() { amount } else { -amount };
                let cause = Cause::Admin { key: object.clone(), reason: "a test".to_owned() };
                until_free(|| ledger.adjust(cause.clone(), amount)).await;
            }
            3 => drop(until_free(|| ledger.expire(Timestamp::now())).await),
            _ => match run(&store, &ledger, tenant, &terms, &mut random).await {
                true => history.settled += 1,
                false => history.refused += 1,
            },
        }
        checked(&ledger, &terms).await;
    }
    history
}

/// Repeats a change while others come first, as the caller of a busy account does.
async fn until_free<T>(change: impl AsyncFn() -> Result<T, Error>) -> T {
    loop {
        match change().await {
            Err(Error::Busy) => {}
            outcome => return outcome.expect("the table answers"),
        }
    }
}

/// A run from its hold to its end. It may cost nothing, or more than its hold.
async fn run(
    store: &Store,
    ledger: &Ledger,
    tenant: TenantId,
    terms: &Terms,
    random: &mut fastrand::Rng,
) -> bool {
    let quote =
        Quote { model: Some("demo"), fallbacks: &[], first_call: MicroUsd(random.u64(0..80)), budget: None };
    let payer = Payer { tenant, run: RunId::new(), user: UserId::new(), project: ProjectId::new() };
    let hold = loop {
        let now = Timestamp::now();
        let reservation = match ledger.reserve(terms, quote, now).await {
            Ok(reservation) => reservation,
            Err(Error::Denied(_)) => return false,
            Err(Error::Busy) => continue,
            Err(error) => panic!("the table fails: {error}"),
        };
        if take(store, &reservation, payer, now).await {
            break reservation.hold;
        }
        tokio::time::sleep(std::time::Duration::from_millis(random.u64(..5))).await;
    };
    tokio::time::sleep(std::time::Duration::from_millis(random.u64(..3))).await;
    let cost = if random.u8(..4) == 0 { MicroUsd(0) } else { MicroUsd(random.u64(0..120)) };
    let writes = hold::settle(&hold, payer, cost, Timestamp::now());
    let end = writes.into_iter().fold(Transaction::new(), Transaction::write);
    store.commit(end, Retry::CONTENDED).await.expect("a run can always end");
    true
}

/// Returns `false` if the account was changed since the quote.
async fn take(store: &Store, reservation: &Reservation, payer: Payer, now: Timestamp) -> bool {
    let update = reservation.update(payer.tenant, payer.run, now);
    match Transaction::new().write(update).run(store).await {
        Ok(()) => true,
        Err(Cancelled::Failed(error)) if !error.is_transient() => panic!("{error}"),
        Err(_) => false,
    }
}

/// Reads the account and checks its row, which must be consistent at every moment.
async fn checked(ledger: &Ledger, terms: &Terms) -> Account {
    let account = ledger.account(terms).await.expect("the table answers");
    let sum: MicroCredits = LEDGER_ACCOUNTS.iter().map(|place| account.at(*place)).sum();
    assert_eq!(sum, MicroCredits::ZERO, "the balances sum to zero: {account:?}");
    assert!(account.available >= MicroCredits::ZERO, "{account:?}");
    assert_eq!(account.reserved, account.holds.values().copied().sum(), "{account:?}");
    let left: MicroCredits = account.grants.iter().map(|grant| grant.left).sum();
    assert_eq!(
        left - account.untaken,
        account.available + account.reserved,
        "the grants contain what is left: {account:?}"
    );
    assert!(account.next_expiry == NEVER || !account.grants.is_empty());
    account
}

async fn all(store: &Store, tenant: TenantId) -> Vec<Posting> {
    let cursors = CursorKey::new("only this process uses the cursors".to_owned().into());
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let request =
            PageRequest::new(key::ledger(tenant)).limit(Some(100)).cursor(&cursors, cursor.as_deref());
        let page = store.page::<Posting>(&request.expect("our cursor")).await.expect("the table answers");
        cursor = page.next_cursor(&cursors);
        all.extend(page.items);
        if cursor.is_none() {
            return all;
        }
    }
}

/// Checks that each posting sums to zero, that together they give the balances, and that each cause has one posting.
fn check(account: &Account, postings: &[Posting], seed: u64) {
    for posting in postings {
        assert!(posting.is_balanced(), "seed {seed}: {posting:?}");
        assert!(posting.uncovered >= MicroCredits::ZERO, "seed {seed}: {posting:?}");
    }
    let entries: Vec<PostingEntry> = postings.iter().flat_map(|posting| posting.entries.clone()).collect();
    for place in LEDGER_ACCOUNTS {
        let sum = entries.iter().filter(|entry| entry.place == place).map(|entry| entry.amount).sum();
        assert_eq!(account.at(place), sum, "seed {seed}: {place:?}");
    }
    let mut causes: Vec<String> = postings.iter().map(|posting| format!("{:?}", posting.cause)).collect();
    let count = causes.len();
    causes.sort();
    causes.dedup();
    assert_eq!(causes.len(), count, "seed {seed}: a cause is posted once");
}
