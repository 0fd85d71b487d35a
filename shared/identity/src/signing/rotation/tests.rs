use sequent_core::{ExposeSecret, SecretString, SessionId, TenantId, UserId};
use sequent_tables::testing;

use super::*;
use crate::{
    access::{Issuer, Refused, Subject},
    secret::Vault,
    signing::{KeyRing, PublicKeys},
};

const TTL: Duration = Duration::from_secs(900);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn issuer() -> Issuer {
    Issuer::new("https://chat.example", TTL)
}

fn issue(ring: &KeyRing, now: Timestamp) -> SecretString {
    let subject = Subject {
        user: UserId::from_bits(1),
        tenant: TenantId::from_bits(2),
        session: SessionId::from_bits(3),
        scopes: sequent_core::Scopes::ALL,
    };
    issuer().issue(ring, &subject, now).unwrap()
}

fn ring(document: &SigningDocument) -> KeyRing {
    document.clone().try_into().unwrap()
}

fn public(document: &SigningDocument) -> PublicKeys {
    PublicKeys::new(document.public_keys().unwrap()).unwrap()
}

async fn table() -> SecretTable {
    SecretTable::new(testing::store().await)
}

#[test]
fn no_valid_token_is_refused_during_a_rotation() {
    let mut now = at(1_900_000_000);
    let mut document = SigningDocument::generate(at(0)).unwrap();
    let mut kids = Vec::new();
    for _ in 0..4 {
        let next = plan(document.clone(), MONTH, TTL, now).unwrap().expect("old enough");
        assert_eq!((next.version, &next.succession_key), (document.version + 1, &document.succession_key));
        let signers = [ring(&document), ring(&next)];
        let verifiers = [public(&document), public(&next)];
        // These are the times at which something changes. Trying every second would be slow.
        for offset in [0, 1, 299, 300, 301, 599, 600, 601, 899, 900, 901] {
            let signed_at = now + Duration::from_secs(offset);
            // A process reads the secret again within REFRESH. Until then it signs and verifies with the previous one.
            let signers = if offset <= secret::REFRESH.as_secs() { &signers[..] } else { &signers[1..] };
            for signer in signers {
                let token = issue(signer, signed_at);
                for age in [0, 1, 299, 300, 301, 899] {
                    let seen_at = signed_at + Duration::from_secs(age);
                    let is_stale = seen_at.since(now) <= secret::REFRESH;
                    for keys in if is_stale { &verifiers[..] } else { &verifiers[1..] } {
                        let verdict = issuer().verify(keys, token.expose_secret(), seen_at);
                        assert!(verdict.is_ok(), "signed at +{offset} s, seen {age} s later: {verdict:?}");
                    }
                }
            }
        }
        let later = now + Duration::from_secs(3600);
        assert_eq!(public(&next).jwks(later).keys.len(), 1, "the former key is gone");
        kids.push(ring(&next).signer(later).unwrap().kid().to_owned());
        document = next;
        now = now + MONTH + Duration::from_secs(3600);
    }
    kids.sort();
    kids.dedup();
    assert_eq!(kids.len(), 4, "every rotation brings a new key");
}

#[test]
fn a_young_key_stays() {
    let now = at(1_900_000_000);
    let first = SigningDocument::generate(now).unwrap();
    assert!(plan(first.clone(), MONTH, TTL, now).unwrap().is_none());
    let once = plan(first, MONTH, TTL, now + MONTH).unwrap().unwrap();
    assert!(plan(once.clone(), MONTH, TTL, now + MONTH).unwrap().is_none(), "not even begun");
    assert!(plan(once.clone(), MONTH, TTL, now + 2 * MONTH).unwrap().is_none());
    assert!(plan(once, MONTH, TTL, now + 2 * MONTH + LEAD).unwrap().is_some());
}

#[tokio::test]
async fn a_new_deployment_gets_its_keys_once() {
    let table = table().await;
    let now = at(1_900_000_000);
    assert_eq!(rotate(&table, MONTH, TTL, now).await.unwrap(), Outcome::Rotated);
    assert_eq!(rotate(&table, MONTH, TTL, now).await.unwrap(), Outcome::Young);
    let document: SigningDocument = table.get(SecretName::Signing).await.unwrap().unwrap();
    assert_eq!((document.keys.len(), document.version), (1, 1));
}

#[tokio::test]
async fn concurrent_rotations_rotate_once() {
    let table = table().await;
    let now = at(1_900_000_000);
    create_keys(&table, at(0)).await.unwrap();
    let attempts: Vec<_> = (0..20)
        .map(|_| {
            let table = table.clone();
            tokio::spawn(async move { rotate(&table, MONTH, TTL, now).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for attempt in attempts {
        outcomes.push(attempt.await.unwrap().unwrap());
    }
    let rotated = outcomes.iter().filter(|outcome| **outcome == Outcome::Rotated).count();
    assert_eq!(rotated, 1, "{outcomes:?}");
    let document: SigningDocument = table.get(SecretName::Signing).await.unwrap().unwrap();
    assert_eq!(document.keys.len(), 2, "the former key and one new one");
}

#[tokio::test]
async fn an_unknown_key_causes_one_read_and_a_made_up_one_no_second() {
    let table = table().await;
    create_keys(&table, at(0)).await.unwrap();
    let vault = Vault::new(&table);
    let before = vault.get().await.unwrap();
    let now = at(1_900_000_000);
    assert_eq!(rotate(&table, MONTH, TTL, now).await.unwrap(), Outcome::Rotated);

    let later = now + LEAD;
    let token = issue(&vault.signing().await.unwrap(), later);
    assert_eq!(issuer().verify(before.public_keys(), token.expose_secret(), later), Err(Refused::UnknownKey));
    let reread = vault.reread().await.unwrap().expect("the first time");
    assert!(issuer().verify(reread.public_keys(), token.expose_secret(), later).is_ok());
    assert!(vault.reread().await.unwrap().is_none(), "a stranger cannot make us read the secret at will");
}
