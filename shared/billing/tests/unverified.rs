//! The limit of what tenants cost together that are not trusted.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use futures::future::join_all;
use sequent_billing::{
    Credits, Denied, Error, Markup, Payer, Plans, PricedRequest, Reservation, Terms, hold,
};
use sequent_core::{
    MicroCredits, MicroUsd, ProjectId, RunId, TenantId, TenantLimits, TenantTrust, Timestamp, UserId,
};
use sequent_model::price::Table;
use sequent_tables::{Row, Store, Transaction, Update, key, testing};
use serde_json::json;

const DOLLAR: u64 = 1_000_000;

/// A deployment that charges for nothing. All tenants together that are not trusted may cost ten dollars a day, and each
/// tenant five.
fn free(store: &Store) -> Credits {
    let limits = TenantLimits {
        daily_usd: Some(MicroUsd(5 * DOLLAR)),
        unverified_usd: Some(MicroUsd(10 * DOLLAR)),
        ..TenantLimits::uncapped()
    };
    Credits::new(store.clone(), None, Table::default()).with_limits(limits)
}

async fn sign_up(store: &Store, trust: TenantTrust) -> TenantId {
    let tenant = TenantId::new();
    store.insert(Row::new(&key::tenant(tenant), &json!({ "trust": trust })).unwrap()).await.unwrap();
    tenant
}

async fn verify(store: &Store, tenant: TenantId) {
    let update = Update::of(&key::tenant(tenant)).set(TenantTrust::ATTRIBUTE, TenantTrust::Trusted);
    store.write_if(update).await.unwrap();
}

async fn reserve(credits: &Credits, tenant: TenantId) -> Result<Reservation, Error> {
    let request = PricedRequest { model: Some("demo/demo"), fallbacks: &[], bytes: 2, budget: None };
    Ok(credits.reserve(tenant, request).await?.expect("the deployment has limits"))
}

/// Lets a run take everything that its tenant may spend, and returns that.
async fn spend_all(store: &Store, credits: &Credits, tenant: TenantId) -> Result<u64, Error> {
    let mut spent = 0;
    loop {
        let reservation = match reserve(credits, tenant).await {
            Err(Error::Denied(_)) if spent > 0 => return Ok(spent),
            reserved => reserved?,
        };
        let payer = Payer { tenant, run: RunId::new(), user: UserId::new(), project: ProjectId::new() };
        let now = Timestamp::now();
        assert!(store.write_if(reservation.update(tenant, payer.run, now)).await?);
        let cost = reservation.max_cost().unwrap();
        let settled = hold::settle(&reservation.hold, payer, cost, now);
        settled.into_iter().fold(Transaction::new(), Transaction::write).run(store).await.unwrap();
        spent += cost.0;
    }
}

fn is_unverified(result: &Result<u64, Error>) -> bool {
    matches!(result, Err(Error::Denied(Denied::Unverified { .. })))
}

#[tokio::test]
async fn however_many_addresses_a_stranger_invents_they_cost_one_limit() {
    let store = testing::store().await;
    let credits = free(&store);
    let mut tenants = Vec::new();
    for n in 0..30 {
        let trust = if n % 2 == 0 { TenantTrust::Unverified } else { TenantTrust::Unverifiable };
        tenants.push(sign_up(&store, trust).await);
    }
    let spent = join_all(tenants.iter().map(|tenant| spend_all(&store, &credits, *tenant))).await;
    let total: u64 = spent.iter().flatten().sum();
    assert!(total <= 10 * DOLLAR, "{total}");
    assert_eq!(spent.iter().filter(|result| is_unverified(result)).count(), 10, "{spent:?}");
    assert!(spent.iter().flatten().all(|spent| *spent <= DOLLAR / 2), "{spent:?}");
    let named = credits.spend_on_call(tenants[0], 10).await;
    assert!(matches!(named, Err(Error::Denied(Denied::Unverified { .. }))), "a call of no run: {named:?}");
}

#[tokio::test]
async fn who_verifies_the_address_has_the_limit_of_a_tenant() {
    let store = testing::store().await;
    let credits = free(&store);
    let invited = sign_up(&store, TenantTrust::Trusted).await;
    assert!(spend_all(&store, &credits, invited).await.unwrap() > 4 * DOLLAR);
    let ada = sign_up(&store, TenantTrust::Unverified).await;
    let before = spend_all(&store, &credits, ada).await.unwrap();
    verify(&store, ada).await;
    let after = spend_all(&store, &credits, ada).await.unwrap();
    assert!(before <= DOLLAR / 2 && after > 4 * DOLLAR, "{before} {after}");
    assert!(before + after <= 5 * DOLLAR, "{before} {after}");
    // Later requests do not read the row of the tenant.
    store.delete(&key::tenant(invited)).await.unwrap();
    let quota: sequent_billing::Quota = store.get(&key::quota(invited)).await.unwrap().unwrap();
    assert!(quota.is_trusted && quota.share_of.is_none(), "{quota:?}");
}

fn terms() -> Terms {
    Terms {
        plans: Plans::default(),
        markup: Markup(200),
        usual_hold: MicroCredits(1000),
        welcome: MicroCredits(1_000_000),
        unverified_usd: Some(MicroUsd(DOLLAR)),
        metered: false,
    }
}

#[tokio::test]
async fn the_welcome_grant_waits_until_the_address_is_verified() {
    let store = testing::store().await;
    let credits = Credits::new(store.clone(), Some(terms()), Table::default());
    let ada = sign_up(&store, TenantTrust::Unverified).await;
    let ledger = credits.ledger(ada);
    for _ in 0..2 {
        assert_eq!(ledger.account(&terms()).await.unwrap().available, MicroCredits::ZERO);
    }
    verify(&store, ada).await;
    let terms = terms();
    let accounts = join_all((0..5).map(|_| ledger.account(&terms))).await;
    assert!(
        accounts
            .iter()
            .all(|account| account.as_ref().is_ok_and(|account| account.available == terms.welcome))
    );
    let (account, postings) = sequent_billing::testing::books(&store, ada, 0).await;
    assert_eq!((account.available, postings.len(), account.welcome_due), (terms.welcome, 1, false));
}

/// A credit costs half a dollar here, so two grants of a credit reach the limit of a dollar.
#[tokio::test]
async fn without_mail_the_welcome_grants_of_a_day_have_a_limit() {
    let store = testing::store().await;
    let credits = Credits::new(store.clone(), Some(terms()), Table::default());
    let mut granted = Vec::new();
    for _ in 0..4 {
        let tenant = sign_up(&store, TenantTrust::Unverifiable).await;
        let account = credits.ledger(tenant).account(&terms()).await.unwrap();
        granted.push(account.available.0);
    }
    assert_eq!(granted, [1_000_000, 1_000_000, 0, 0]);
    let invited = sign_up(&store, TenantTrust::Trusted).await;
    assert_eq!(credits.ledger(invited).account(&terms()).await.unwrap().available, terms().welcome);
}
