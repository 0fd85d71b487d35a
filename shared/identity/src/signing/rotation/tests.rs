use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_http_client::test_util::infallible_client_fn;
use sequent_aws::Secrets;
use sequent_core::{ExposeSecret, SessionId, TenantId, UserId};

use super::*;
use crate::{
    access::{Issuer, Refused, Subject},
    secret::{AppSecret, Vault},
};

const TTL: Duration = Duration::from_secs(900);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn secret_of(document: &Value) -> AppSecret {
    serde_json::from_value(document.clone()).unwrap()
}

fn issuer() -> Issuer {
    Issuer::new("https://chat.example", TTL)
}

fn issue(secret: &AppSecret, now: Timestamp) -> SecretString {
    let subject = Subject {
        user: UserId::from_bits(1),
        tenant: TenantId::from_bits(2),
        session: SessionId::from_bits(3),
        scopes: sequent_core::Scopes::ALL,
    };
    issuer().issue(secret.ring(), &subject, now).unwrap()
}

/// A model of the versions in Secrets Manager.
#[derive(Default)]
struct Secret {
    versions: HashMap<String, String>,
    current: String,
    /// The next swap happens, but its response is lost.
    loses_an_answer: bool,
}

impl Secret {
    fn answer(&mut self, target: &str, request: &Value) -> (u16, Value) {
        let text = |name: &str| request[name].as_str().unwrap().to_owned();
        if target.ends_with("GetSecretValue") {
            let secret = &self.versions[&self.current];
            let answer =
                json!({ "Name": "app", "VersionId": self.current, "SecretString": secret, "CreatedDate": 0 });
            return (200, answer);
        }
        if target.ends_with("PutSecretValue") {
            assert_eq!(request["VersionStages"], json!(["AWSPENDING"]));
            let version = text("ClientRequestToken");
            let before = self.versions.insert(version.clone(), text("SecretString"));
            assert_eq!(before, None, "the SDK makes up a token for each request");
            return (200, json!({ "Name": "app", "VersionId": version }));
        }
        assert!(target.ends_with("UpdateSecretVersionStage"), "{target}");
        assert_eq!(request["VersionStage"], "AWSCURRENT");
        if text("RemoveFromVersionId") != self.current {
            return (400, json!({ "__type": "InvalidParameterException", "Message": "attached elsewhere" }));
        }
        self.current = text("MoveToVersionId");
        (if std::mem::take(&mut self.loses_an_answer) { 500 } else { 200 }, json!({ "Name": "app" }))
    }
}

fn client(secret: &Arc<Mutex<Secret>>) -> Client {
    let secret = Arc::clone(secret);
    let http = infallible_client_fn(move |request| {
        let target = request.headers()["x-amz-target"].to_str().unwrap().to_owned();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let (status, answer) = secret.lock().unwrap().answer(&target, &body);
        http::Response::builder().status(status).body(answer.to_string()).unwrap()
    });
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(http)
        .build();
    Client::from_conf(config)
}

fn secret(text: &Value) -> Arc<Mutex<Secret>> {
    let first = "0".repeat(32);
    Arc::new(Mutex::new(Secret {
        versions: HashMap::from([(first.clone(), text.to_string())]),
        current: first,
        ..Secret::default()
    }))
}

#[test]
fn no_valid_token_is_refused_during_a_rotation() {
    let mut document = json!({ "seed": "s", "cursor_key": "keep me" });
    let mut now = at(1_900_000_000);
    let mut kids = Vec::new();
    for _ in 0..4 {
        let before = secret_of(&document);
        let next = plan(document.clone(), 0, MONTH, TTL, now).unwrap().expect("old enough");
        assert_eq!(next["cursor_key"], "keep me");
        let after = secret_of(&next);
        // These are the times at which something changes. Trying every second would be slow.
        for offset in [0, 1, 299, 300, 301, 599, 600, 601, 899, 900, 901] {
            let signed_at = now + Duration::from_secs(offset);
            // A process reads the secret again within REFRESH. Until then it signs and verifies with the previous one.
            let stale = (offset <= secret::REFRESH.as_secs()).then_some(&before);
            for signer in stale.into_iter().chain([&after]) {
                let token = issue(signer, signed_at);
                for age in [0, 1, 299, 300, 301, 899] {
                    let seen_at = signed_at + Duration::from_secs(age);
                    let reader_may_be_stale = seen_at.since(now) <= secret::REFRESH;
                    for verifier in reader_may_be_stale.then_some(&before).into_iter().chain([&after]) {
                        let verdict = issuer().verify(verifier.ring(), token.expose_secret(), seen_at);
                        assert!(verdict.is_ok(), "signed at +{offset} s, seen {age} s later: {verdict:?}");
                    }
                }
            }
        }
        let later = now + Duration::from_secs(3600);
        assert_eq!(after.ring().jwks(later).keys.len(), 1, "the former key is gone");
        kids.push(after.ring().signer(later).unwrap().kid().to_owned());
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
    let derived = json!({ "seed": "s" });
    assert!(plan(derived.clone(), now.seconds(), MONTH, TTL, now).unwrap().is_none(), "as old as its secret");
    let once = plan(derived, 0, MONTH, TTL, now).unwrap().unwrap();
    assert!(plan(once.clone(), 0, MONTH, TTL, now).unwrap().is_none(), "not even begun");
    assert!(plan(once.clone(), 0, MONTH, TTL, now + MONTH).unwrap().is_none());
    assert!(plan(once, 0, MONTH, TTL, now + MONTH + LEAD).unwrap().is_some());
}

#[test]
fn an_unusable_secret_is_not_changed() {
    for document in [
        json!([]),
        json!({ "jwt_keys": {} , "seed": "s" }),
        json!({ "jwt_keys": ["k"], "seed": "s" }),
        json!({ "jwt_keys": [{ "not_before": 0 }, "k"], "seed": "s" }),
        json!({ "jwt_keys": [] }),
    ] {
        assert!(plan(document, 0, MONTH, TTL, at(1_900_000_000)).is_err());
    }
}

#[tokio::test]
async fn concurrent_rotations_rotate_once() {
    let secret = secret(&json!({ "seed": "s" }));
    let client = client(&secret);
    let now = at(1_900_000_000);
    let attempts: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { rotate(&client, "app", MONTH, TTL, now).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for attempt in attempts {
        outcomes.push(attempt.await.unwrap().unwrap());
    }
    let rotated = outcomes.iter().filter(|outcome| **outcome == Outcome::Rotated).count();
    assert_eq!(rotated, 1, "{outcomes:?}");
    let secret = secret.lock().unwrap();
    let keys =
        secret_of(&serde_json::from_str(&secret.versions[&secret.current]).unwrap()).ring().jwks(now).keys;
    assert_eq!(keys.len(), 2, "the former key and one new one");
}

#[tokio::test]
async fn a_swap_with_a_lost_response_counts() {
    let secret = secret(&json!({ "seed": "s" }));
    secret.lock().unwrap().loses_an_answer = true;
    let rotated = rotate(&client(&secret), "app", MONTH, TTL, at(1_900_000_000)).await;
    assert_eq!(rotated.unwrap(), Outcome::Rotated, "the SDK asked again and was refused");
}

#[tokio::test]
async fn an_unknown_key_causes_one_read_and_a_made_up_one_no_second() {
    let secret = secret(&json!({ "seed": "s" }));
    let client = client(&secret);
    let vault = Vault::new(Secrets::new(client.clone(), "app"));
    let before = vault.get().await.unwrap();
    let now = at(1_900_000_000);
    assert_eq!(rotate(&client, "app", MONTH, TTL, now).await.unwrap(), Outcome::Rotated);

    let rotated = {
        let secret = secret.lock().unwrap();
        secret_of(&serde_json::from_str(&secret.versions[&secret.current]).unwrap())
    };
    let later = now + LEAD;
    let token = issue(&rotated, later);
    assert_eq!(issuer().verify(before.ring(), token.expose_secret(), later), Err(Refused::UnknownKey));
    let reread = vault.reread().await.unwrap().expect("the first time");
    assert!(issuer().verify(reread.ring(), token.expose_secret(), later).is_ok());
    assert!(vault.reread().await.unwrap().is_none(), "a stranger cannot make us read the secret at will");
}
