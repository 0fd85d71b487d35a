//! The operations of identity, with a real table.

mod api_keys;
mod endings;
mod guesses;
mod invitations;
mod operator;

use std::{sync::Arc, time::Duration};

use sequent_core::{
    ExposeSecret, PostingId, Principal, Scope, Scopes, SecretString, SessionId, TenantId, Timestamp, UserId,
    Via,
};
use sequent_tables::{Key, PageRequest, Row, Store, Write, key, testing};
use serde_json::json;

use crate::{
    Config, Credential, Error, Identity, SignedIn, Vault,
    account::NewAccount,
    api_key::NewApiKey,
    audit::{AuditAction, AuditEntry},
    password::{Cost, Password},
    session::{Device, OVERLAP},
    token::{ApiKeyToken, RefreshToken},
};

const PASSWORD: &str = "correct horse battery";

fn config(iterations: u32) -> Config {
    Config {
        issuer: "https://chat.example".to_owned(),
        access_token_ttl: Duration::from_secs(900),
        reauthenticate_after: Duration::from_secs(600),
        password_cost: Cost { memory_kib: 64, iterations, parallelism: 1 },
    }
}

fn identity_over(store: Store, iterations: u32) -> Identity {
    let vault = Vault::fixed(&json!({ "seed": "a seed for tests" }).to_string().into()).unwrap();
    Identity::new(store, vault, &config(iterations)).unwrap()
}

async fn identity() -> Identity {
    identity_over(testing::store().await, 1)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_900_000_000_000) + Duration::from_secs(seconds)
}

fn password(text: &str) -> Password {
    Password::presented(SecretString::from(text)).unwrap()
}

async fn sign_up(identity: &Identity, email: &str) -> SignedIn {
    let account =
        NewAccount { email: email.parse().unwrap(), password: password(PASSWORD), name: "Ann".to_owned() };
    identity.sign_up(account, Device::default(), at(0)).await.unwrap()
}

async fn sign_in(identity: &Identity, email: &str, with: &str, now: Timestamp) -> Result<SignedIn, Error> {
    identity.sign_in(&email.parse().unwrap(), password(with), Device::default(), now).await
}

fn caller(of: &SignedIn) -> Principal {
    Principal {
        tenant: of.user.tenant_id,
        user: of.user.id,
        session: Some(of.session.id),
        api_key: None,
        scopes: Scopes::ALL,
        via: Via::Bearer,
    }
}

/// A key without an end.
fn named(name: &str, scopes: Scopes) -> NewApiKey {
    NewApiKey { name: name.to_owned(), scopes, valid_until: None }
}

/// Reads the audit trail, oldest entry first.
async fn trail(identity: &Identity, tenant: TenantId) -> Vec<AuditEntry> {
    let trail = key::audit(tenant, at(0), "");
    let mut rows = testing::all_rows(&identity.store).await;
    rows.retain(|row| Key::of_item(row).is_some_and(|key| key.pk() == trail.pk()));
    rows.sort_by_key(|row| Key::of_item(row).map(|key| key.sk().to_owned()));
    rows.into_iter().map(|row| sequent_tables::decode(row).unwrap()).collect()
}

async fn actions(identity: &Identity, tenant: TenantId) -> Vec<AuditAction> {
    trail(identity, tenant).await.into_iter().map(|entry| entry.action).collect()
}

#[tokio::test]
async fn signing_up_creates_everything_or_nothing() {
    let identity = identity().await;
    let ann = sign_up(&identity, "Ann@Example.com").await;
    assert_eq!(ann.user.email.as_str(), "ann@example.com");
    assert_eq!(identity.user(ann.user.tenant_id, ann.user.id).await.unwrap(), Some(ann.user.clone()));
    let again =
        NewAccount { email: ann.user.email.clone(), password: password(PASSWORD), name: "Eve".to_owned() };
    let refused = identity.sign_up(again, Device::default(), at(1)).await;
    assert!(matches!(refused, Err(Error::EmailTaken)), "{refused:?}");
    assert_eq!(actions(&identity, ann.user.tenant_id).await, [AuditAction::SignedUp]);
    let rows = testing::all_rows(&identity.store).await;
    assert_eq!(rows.len(), 6, "the refused sign-up left no row");
}

#[tokio::test]
async fn of_concurrent_registrations_of_an_address_one_succeeds() {
    let identity = Arc::new(identity().await);
    let attempts: Vec<_> = (0..20)
        .map(|_| {
            let identity = Arc::clone(&identity);
            tokio::spawn(async move {
                let account = NewAccount {
                    email: "ann@example.com".parse().unwrap(),
                    password: password(PASSWORD),
                    name: String::new(),
                };
                identity.sign_up(account, Device::default(), at(0)).await
            })
        })
        .collect();
    let mut won = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(_) => won += 1,
            Err(Error::EmailTaken) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_have_the_same_error_and_cost() {
    let identity = identity().await;
    sign_up(&identity, "ann@example.com").await;
    let mut costs = Vec::new();
    for email in ["ann@example.com", "nobody@example.com"] {
        let before = identity.hashes_computed();
        let refused = sign_in(&identity, email, "wrong horse battery", at(0)).await;
        assert!(matches!(refused, Err(Error::WrongCredentials)), "{refused:?}");
        costs.push(identity.hashes_computed() - before);
    }
    assert_eq!(costs, [1, 1]);
    for email in ["ann@example.com", "nobody@example.com"] {
        for _ in 0..4 {
            assert!(matches!(sign_in(&identity, email, "wrong", at(0)).await, Err(Error::WrongCredentials)));
        }
        let slowed = sign_in(&identity, email, "wrong", at(0)).await;
        assert!(matches!(slowed, Err(Error::SlowDown(_))), "{slowed:?}");
    }
}

#[tokio::test]
async fn a_sign_in_replaces_a_hash_of_former_parameters() {
    let store = testing::store().await;
    sign_up(&identity_over(store.clone(), 1), "ann@example.com").await;
    let stronger = identity_over(store, 2);
    sign_in(&stronger, "ann@example.com", PASSWORD, at(1)).await.unwrap();
    assert_eq!(stronger.hashes_computed(), 2, "one to compare, one to keep");
    sign_in(&stronger, "ann@example.com", PASSWORD, at(2)).await.unwrap();
    assert_eq!(stronger.hashes_computed(), 3, "the kept one is up to date");
}

#[tokio::test]
async fn fifty_refreshes_at_once_yield_one_successor() {
    let identity = Arc::new(identity().await);
    let mut token = sign_up(&identity, "ann@example.com").await.refresh_token;
    for round in 1..=3 {
        let requests: Vec<_> = (0..50)
            .map(|_| {
                let identity = Arc::clone(&identity);
                let token = token.clone();
                tokio::spawn(async move { identity.refresh(&token, at(round * 100)).await })
            })
            .collect();
        let mut successors = Vec::new();
        for request in requests {
            let refreshed = request.await.unwrap().expect("nobody is turned away");
            assert_eq!(refreshed.session.generation, round);
            successors.push(refreshed.refresh_token.expose().to_owned());
        }
        successors.dedup();
        assert_eq!(successors.len(), 1, "all got the same");
        assert_ne!(successors[0], token.expose());
        token = RefreshToken::parse(&successors[0]).unwrap();
    }
}

#[tokio::test]
async fn a_refresh_can_be_repeated_for_ten_seconds() {
    let identity = identity().await;
    let first = sign_up(&identity, "ann@example.com").await.refresh_token;
    let second = identity.refresh(&first, at(100)).await.unwrap().refresh_token;
    let again = identity.refresh(&first, at(100) + OVERLAP).await.unwrap().refresh_token;
    assert_eq!(second.expose(), again.expose());
    let third = identity.refresh(&second, at(111)).await.unwrap().refresh_token;
    assert!(identity.refresh(&third, at(112)).await.is_ok());
}

#[tokio::test]
async fn a_copied_token_ends_the_session_and_is_recorded_once() {
    let identity = Arc::new(identity().await);
    let ann = sign_up(&identity, "ann@example.com").await;
    let other = sign_in(&identity, "ann@example.com", PASSWORD, at(1)).await.unwrap();
    let second = identity.refresh(&ann.refresh_token, at(100)).await.unwrap().refresh_token;
    let third = identity.refresh(&second, at(200)).await.unwrap().refresh_token;

    let thieves: Vec<_> = (0..20)
        .map(|_| {
            let identity = Arc::clone(&identity);
            let token = ann.refresh_token.clone();
            tokio::spawn(async move { identity.refresh(&token, at(201)).await })
        })
        .collect();
    for thief in thieves {
        let refused = thief.await.unwrap();
        assert!(
            matches!(refused, Err(Error::ReusedRefreshToken | Error::InvalidRefreshToken)),
            "{refused:?}"
        );
    }
    for token in [&ann.refresh_token, &second, &third] {
        assert!(matches!(identity.refresh(token, at(202)).await, Err(Error::InvalidRefreshToken)));
    }
    assert!(identity.refresh(&other.refresh_token, at(202)).await.is_ok(), "another session goes on");
    let reuse: Vec<_> = trail(&identity, ann.user.tenant_id).await;
    let reuse: Vec<_> =
        reuse.iter().filter(|entry| entry.action == AuditAction::RefreshTokenReused).collect();
    assert_eq!(reuse.len(), 1);
    assert_eq!(reuse[0].session, Some(ann.session.id));
}

#[tokio::test]
async fn the_token_before_the_previous_one_counts_as_reused_even_within_the_overlap() {
    let identity = identity().await;
    let first = sign_up(&identity, "ann@example.com").await.refresh_token;
    let second = identity.refresh(&first, at(1)).await.unwrap().refresh_token;
    let third = identity.refresh(&second, at(2)).await.unwrap().refresh_token;
    assert!(matches!(identity.refresh(&first, at(3)).await, Err(Error::ReusedRefreshToken)));
    assert!(matches!(identity.refresh(&third, at(3)).await, Err(Error::InvalidRefreshToken)));
}

#[tokio::test]
async fn ended_and_unknown_sessions_cannot_be_refreshed() {
    let identity = identity().await;
    let ann = sign_up(&identity, "ann@example.com").await;
    let bob = sign_up(&identity, "bob@example.com").await;
    let unknown = RefreshToken::generate().unwrap();
    assert!(matches!(identity.refresh(&unknown, at(1)).await, Err(Error::InvalidRefreshToken)));
    identity.sign_out(&unknown, at(1)).await.unwrap();

    // The session of another user or tenant cannot be ended.
    for (tenant, user) in [(bob.user.tenant_id, bob.user.id), (bob.user.tenant_id, ann.user.id)] {
        let refused = identity.revoke_session(tenant, user, ann.session.id, at(1)).await;
        assert!(matches!(refused, Err(Error::NotFound)), "{refused:?}");
    }
    identity.revoke_session(ann.user.tenant_id, ann.user.id, ann.session.id, at(1)).await.unwrap();
    assert!(matches!(identity.refresh(&ann.refresh_token, at(2)).await, Err(Error::InvalidRefreshToken)));
    let again = identity.revoke_session(ann.user.tenant_id, ann.user.id, ann.session.id, at(2)).await;
    assert!(matches!(again, Err(Error::NotFound)), "{again:?}");

    identity.sign_out(&bob.refresh_token, at(1)).await.unwrap();
    identity.sign_out(&bob.refresh_token, at(2)).await.expect("signing out twice is no error");
    assert!(matches!(identity.refresh(&bob.refresh_token, at(2)).await, Err(Error::InvalidRefreshToken)));
    assert_eq!(
        actions(&identity, bob.user.tenant_id).await,
        [AuditAction::SignedUp, AuditAction::SessionRevoked]
    );
}

#[tokio::test]
async fn sessions_are_listed_while_they_are_open() {
    let identity = identity().await;
    let ann = sign_up(&identity, "ann@example.com").await;
    let second = sign_in(&identity, "ann@example.com", PASSWORD, at(1)).await.unwrap();
    let list = || PageRequest::new(key::sessions(ann.user.tenant_id, ann.user.id));
    let page = identity.sessions(&list(), at(2)).await.unwrap();
    let mut ids: Vec<SessionId> = page.items.iter().map(|session| session.id).collect();
    ids.sort_unstable();
    let mut expected = [ann.session.id, second.session.id];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    identity.revoke_session(ann.user.tenant_id, ann.user.id, ann.session.id, at(3)).await.unwrap();
    let page = identity.sessions(&list(), at(4)).await.unwrap();
    assert_eq!(page.items.iter().map(|session| session.id).collect::<Vec<_>>(), [second.session.id]);
}

#[tokio::test]
async fn no_row_contains_a_credential() {
    let identity = identity().await;
    let ann = sign_up(&identity, "ann@example.com").await;
    let refreshed = identity.refresh(&ann.refresh_token, at(1)).await.unwrap();
    let (_, token) = identity.create_api_key(&caller(&ann), named("ci", Scopes::ALL), at(1)).await.unwrap();
    let device = ann.device.as_ref().unwrap();
    let dump = format!("{:?}", testing::all_rows(&identity.store).await);
    for secret in [
        PASSWORD,
        ann.refresh_token.expose(),
        refreshed.refresh_token.expose(),
        token.expose(),
        ann.access_token.expose_secret(),
        device.expose(),
    ] {
        assert!(!dump.contains(secret));
    }
    assert!(dump.contains(&ann.refresh_token.digest()) || dump.contains(&refreshed.refresh_token.digest()));
}

#[tokio::test]
async fn the_trail_is_read_with_entries_of_other_crates() {
    let identity = identity().await;
    let ann = sign_up(&identity, "ann@example.com").await;
    let tenant = ann.user.tenant_id;
    let body = json!({
        "action": "credits_granted", "at": at(1), "posting": PostingId::new(), "amount": 5,
        "cause": {"type": "stripe", "object": "in_1"},
    });
    let row = Row::new(&key::audit(tenant, at(1), "granted"), &body).unwrap();
    identity.store.write(Write::put(row)).await.unwrap();
    let page = identity.audit_trail(&PageRequest::new(key::audit_trail(tenant))).await.unwrap();
    let mut actions: Vec<_> = page.items.into_iter().map(|entry| entry.action).collect();
    actions.sort();
    assert_eq!(actions, ["credits_granted", "signed_up"]);
}
