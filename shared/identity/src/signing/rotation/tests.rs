use sequent_core::{ExposeSecret, SecretString, SessionId, TenantId, UserId};
use sequent_tables::{Update, testing};

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
    assert_eq!(document.keys.len(), 1);
}

#[tokio::test]
async fn of_many_first_processes_one_makes_the_keys() {
    let table = table().await;
    let processes: Vec<_> = (0..20)
        .map(|_| {
            let vault = Vault::new(&table);
            tokio::spawn(async move {
                let kid = vault.signing().await.unwrap().signer(Timestamp::now()).unwrap().kid().to_owned();
                let sealed = vault.sealing().await.unwrap().seal(&"a token".into(), "p").unwrap();
                (kid, sealed)
            })
        })
        .collect();
    let vault = Vault::new(&table);
    let keys = vault.signing().await.unwrap();
    let pipeline = vault.get().await.unwrap();
    for process in processes {
        let (kid, sealed) = process.await.unwrap();
        assert_eq!(kid, keys.signer(Timestamp::now()).unwrap().kid());
        assert!(pipeline.public_keys().verifier(&kid, Timestamp::now()).is_some());
        assert!(vault.sealing_of(&sealed).await.unwrap().open(&sealed, "p").is_ok());
    }
}

#[tokio::test]
async fn lost_and_other_public_keys_are_published_again() {
    let table = table().await;
    let now = at(1_900_000_000);
    create_keys(&table, now).await.unwrap();
    let token = issue(&Vault::new(&table).signing().await.unwrap(), now);
    let pipeline = SecretName::Pipeline.key();
    let stranger = SigningDocument::generate(now).unwrap().public_keys().unwrap();
    for damage in [
        Write::delete(&pipeline),
        Update::of(&pipeline).set("public_keys", stranger).into(),
        Update::of(&pipeline).set("public_keys", [0; 0]).into(),
        Update::of(&pipeline).remove("public_keys").into(),
    ] {
        table.commit(Transaction::new().write(damage)).await.unwrap();
        assert_eq!(rotate(&table, MONTH, TTL, now).await.unwrap(), Outcome::Published);
        let mended = Vault::new(&table).get().await.unwrap();
        assert!(issuer().verify(mended.public_keys(), token.expose_secret(), now).is_ok());
        assert_eq!(rotate(&table, MONTH, TTL, now).await.unwrap(), Outcome::Young);
    }
    table.commit(Transaction::new().write(Write::delete(&pipeline))).await.unwrap();
    assert_eq!(
        rotate(&table, MONTH, TTL, now + MONTH).await.unwrap(),
        Outcome::Rotated,
        "without its row, too"
    );
}

#[tokio::test]
async fn a_change_that_began_before_the_keys_were_discarded_does_not_bring_them_back() {
    let table = table().await;
    let now = at(1_900_000_000);
    create_keys(&table, at(0)).await.unwrap();
    let leaked: SigningDocument = table.get(SecretName::Signing).await.unwrap().unwrap();
    table.commit(Transaction::new().write(Write::delete(&SecretName::Signing.key()))).await.unwrap();
    create_keys(&table, now).await.unwrap();
    for age in [MONTH, 2000 * MONTH] {
        assert_eq!(change(&table, leaked.clone(), age, TTL, now).await.unwrap(), Outcome::Lost);
    }
    let kept: SigningDocument = table.get(SecretName::Signing).await.unwrap().unwrap();
    assert!(kept.keys.iter().all(|key| key.kid != leaked.keys[0].kid));
}

#[tokio::test]
async fn an_error_quotes_no_secret() {
    let table = table().await;
    let signing = SecretName::Signing.key();
    let private = "MC4CAQAwBQYDK2VwBCIEIA";
    let damaged = Update::of(&signing).set("keys", private).set("version", 1);
    table.commit(Transaction::new().write(damaged)).await.unwrap();
    let malformed = rotate(&table, MONTH, TTL, at(0)).await.unwrap_err();
    let first = Row::new(&signing, &SigningDocument::generate(at(0)).unwrap()).unwrap();
    let refused = table.commit(Transaction::new().write(Write::insert(first))).await.unwrap_err();
    for error in [&malformed as &dyn std::error::Error, &refused] {
        let mut text = format!("{error:?}");
        let mut cause = Some(error);
        while let Some(error) = cause {
            text += &error.to_string();
            cause = error.source();
        }
        assert!(!text.contains(private), "{text}");
    }
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
