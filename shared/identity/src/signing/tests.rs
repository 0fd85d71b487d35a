use serde_json::json;

use super::{stored::StoredPublicKey, *};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn entry(seed: u8, kid: &str, not_before: i64, not_after: Option<i64>) -> PrivateKey {
    PrivateKey { kid: kid.to_owned(), not_after, ..PrivateKey::of(&[seed; 32], at(not_before)).unwrap() }
}

fn document(keys: Vec<PrivateKey>) -> SigningDocument {
    SigningDocument { keys, ..SigningDocument::of(&[1; 32], &[2; 32], at(0)).unwrap() }
}

fn public(document: &SigningDocument) -> PublicKeys {
    PublicKeys::new(document.public_keys().unwrap()).unwrap()
}

#[test]
fn each_deployment_makes_keys_of_its_own() {
    let one = SigningDocument::generate(at(5)).unwrap();
    let two = SigningDocument::generate(at(5)).unwrap();
    assert_ne!((&one.keys[0].kid, &one.succession_key), (&two.keys[0].kid, &two.succession_key));
    let ring = KeyRing::try_from(one.clone()).unwrap();
    assert_eq!(ring.signer(at(5)).unwrap().kid(), one.keys[0].kid);
    assert_eq!(ring.signer(at(4)).unwrap_err(), Error::NoActiveKey);
}

#[test]
fn the_newest_key_that_may_sign_does_and_all_unexpired_ones_verify() {
    let all = document(vec![
        entry(1, "old", 0, Some(200)),
        entry(3, "next", 300, None),
        entry(2, "current", 100, Some(400)),
    ]);
    let ring = KeyRing::try_from(all.clone()).unwrap();
    let keys = public(&all);
    let signer = |seconds| ring.signer(at(seconds)).map(|key| key.kid().to_owned());
    let verifiers = |seconds| {
        let known = ["old", "current", "next"].into_iter();
        known.filter(|kid| keys.verifier(kid, at(seconds)).is_some()).collect::<Vec<_>>()
    };
    assert_eq!((signer(99).unwrap(), verifiers(99)), ("old".to_owned(), vec!["old", "current", "next"]));
    assert_eq!(
        (signer(100).unwrap(), verifiers(199)),
        ("current".to_owned(), vec!["old", "current", "next"])
    );
    assert_eq!((signer(300).unwrap(), verifiers(200)), ("next".to_owned(), vec!["current", "next"]));
    assert_eq!(verifiers(400), ["next"]);
    assert_eq!(keys.jwks(at(400)).keys.len(), 1);
    let ended = KeyRing::try_from(document(vec![entry(1, "old", 0, Some(200))])).unwrap();
    assert_eq!(ended.signer(at(200)).unwrap_err(), Error::NoActiveKey);
}

#[test]
fn what_verifiers_read_has_public_halves_only() {
    let document = SigningDocument::generate(at(0)).unwrap();
    let stored = serde_json::to_string(&document.public_keys().unwrap()).unwrap();
    assert!(!stored.contains(&document.keys[0].private_key) && !stored.contains("private"), "{stored}");
    let text = serde_json::to_value(public(&document).jwks(at(0))).unwrap();
    let key = text["keys"][0].as_object().unwrap();
    let mut fields: Vec<_> = key.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["alg", "crv", "kid", "kty", "use", "x"]);
    assert_eq!(URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap().len(), 32);
}

#[test]
fn an_unusable_key_is_refused_without_being_quoted() {
    for private_key in ["c2VjcmV0IHRleHQ=", "?secret text?"] {
        let key = json!({ "kid": "k", "private_key": private_key, "not_before": 0, "not_after": null });
        let document = json!({ "keys": [key], "succession_key": "", "version": 1 });
        let error = serde_json::from_value::<KeyRing>(document).unwrap_err().to_string();
        assert!(!error.contains("secret text") && !error.contains("c2Vj"), "{error}");
    }
    for x in ["c2hvcnQ", "?"] {
        let key = StoredPublicKey { kid: "k".to_owned(), x: x.to_owned(), not_after: None };
        assert_eq!(PublicKeys::new(vec![key]).unwrap_err(), Error::InvalidKey);
    }
}

#[test]
fn the_thumbprint_is_that_of_rfc_8037() {
    // RFC 8037 appendix A.3.
    assert_eq!(
        thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
}
