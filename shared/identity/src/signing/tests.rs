use serde_json::{Value, json};

use super::*;

fn ring(document: Value) -> KeyRing {
    let document: crate::secret::Document = serde_json::from_value(document).unwrap();
    let root = document.root().unwrap().clone();
    KeyRing::new(document.jwt_keys, &root).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn entry(seed: u8, kid: &str, not_before: i64, not_after: Option<i64>) -> Value {
    json!({ "kid": kid, "private_key": STANDARD.encode(pkcs8(&[seed; 32])), "not_before": not_before, "not_after": not_after })
}

#[test]
fn processes_that_share_a_seed_share_the_first_key() {
    let one = ring(json!({ "seed": "s" }));
    let two = ring(json!({ "jwt_keys": [], "seed": "s", "other": 1 }));
    assert_eq!(one.signer(at(0)).unwrap().kid(), two.signer(at(0)).unwrap().kid());
    assert_eq!(one.jwks(at(0)), two.jwks(at(0)));
    let other = ring(json!({ "seed": "t" }));
    assert_ne!(one.signer(at(0)).unwrap().kid(), other.signer(at(0)).unwrap().kid());
    let of_csrf_key = ring(json!({ "csrf_key": "s" }));
    assert_eq!(one.jwks(at(0)), of_csrf_key.jwks(at(0)));
}

#[test]
fn the_newest_key_that_may_sign_does_and_all_unexpired_ones_verify() {
    let ring = ring(json!({ "seed": "s", "jwt_keys": [
        entry(1, "old", 0, Some(200)), entry(3, "next", 300, None), entry(2, "current", 100, Some(400)),
    ]}));
    let signer = |seconds| ring.signer(at(seconds)).map(|key| key.kid().to_owned());
    let verifiers = |seconds| {
        let known = ["old", "current", "next"].into_iter();
        known.filter(|kid| ring.verifier(kid, at(seconds)).is_some()).collect::<Vec<_>>()
    };
    assert_eq!((signer(99).unwrap(), verifiers(99)), ("old".to_owned(), vec!["old", "current", "next"]));
    assert_eq!(
        (signer(100).unwrap(), verifiers(199)),
        ("current".to_owned(), vec!["old", "current", "next"])
    );
    assert_eq!((signer(300).unwrap(), verifiers(200)), ("next".to_owned(), vec!["current", "next"]));
    assert_eq!(verifiers(400), ["next"]);
    assert_eq!(ring.jwks(at(400)).keys.len(), 1);
    let ended = super::tests::ring(json!({ "seed": "s", "jwt_keys": [entry(1, "old", 0, Some(200))] }));
    assert_eq!(ended.signer(at(200)).unwrap_err(), Error::NoActiveKey);
}

#[test]
fn the_key_set_has_public_halves_only() {
    let text = serde_json::to_value(ring(json!({ "seed": "s" })).jwks(at(0))).unwrap();
    let key = text["keys"][0].as_object().unwrap();
    let mut fields: Vec<_> = key.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["alg", "crv", "kid", "kty", "use", "x"]);
    assert_eq!(URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap().len(), 32);
}

#[test]
fn the_thumbprint_is_that_of_rfc_8037() {
    // RFC 8037 appendix A.3.
    assert_eq!(
        thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
}
