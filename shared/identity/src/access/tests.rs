//! The known attacks with JWTs that were not issued as access tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};

use super::*;
use crate::{
    signing::stored::SigningDocument,
    token::{ApiKeyToken, RefreshToken},
};

const URL: &str = "https://chat.example";
const SEED: u8 = 1;

const OTHER_SEED: u8 = 2;

fn document(seed: u8) -> SigningDocument {
    SigningDocument::of(&[seed; 32], &[9; 32], Timestamp::from_millis(0)).unwrap()
}

fn ring(seed: u8) -> KeyRing {
    document(seed).try_into().unwrap()
}

fn public_keys(seed: u8) -> PublicKeys {
    PublicKeys::new(document(seed).public_keys().unwrap()).unwrap()
}

fn issuer() -> Issuer {
    Issuer::new(URL, Duration::from_secs(900))
}

fn subject() -> Subject {
    Subject { user: UserId::new(), tenant: TenantId::new(), session: SessionId::new(), scopes: Scopes::ALL }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_900_000_000_000)
}

fn valid() -> String {
    use sequent_core::ExposeSecret;
    issuer().issue(&ring(SEED), &subject(), now()).unwrap().expose_secret().to_owned()
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn part(token: &str, index: usize) -> Value {
    let text = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

/// A token with this header and these claims, signed with the key of the issuer. It shows that the checks of the header
/// and the claims refuse a token even if the signature is right.
fn signed(header: &Value, claims: &Value) -> String {
    let ring = ring(SEED);
    let private = ring.signer(now()).unwrap().private().as_bytes().to_vec();
    signed_by(&Ed25519KeyPair::from_pkcs8_maybe_unchecked(&private).unwrap(), header, claims)
}

fn signed_by(pair: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn with(mut value: Value, field: &str, other: Value) -> Value {
    value[field] = other;
    value
}

fn without(mut value: Value, field: &str) -> Value {
    value.as_object_mut().unwrap().remove(field);
    value
}

fn refused(name: &str, token: &str) -> Refused {
    match issuer().verify(&public_keys(SEED), token, now()) {
        Err(refused) => refused,
        Ok(_) => panic!("{name} was accepted: {token}"),
    }
}

#[test]
fn an_issued_token_is_accepted_until_it_expires() {
    let token = valid();
    let header = part(&token, 0);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("at+jwt")));
    let claims = issuer().verify(&public_keys(SEED), &token, now()).unwrap();
    assert_eq!((claims.exp - claims.iat, claims.iss.as_str()), (900, URL));
    assert!(
        issuer().verify(&public_keys(SEED), &token, now() + Duration::from_secs(904)).is_ok(),
        "within the leeway"
    );
    let late = issuer().verify(&public_keys(SEED), &token, now() + Duration::from_secs(905));
    assert_eq!(late.unwrap_err(), Refused::Expired);
    // This must be able to make a valid token. Otherwise every token below would be refused for the wrong reason.
    assert!(issuer().verify(&public_keys(SEED), &signed(&header, &part(&token, 1)), now()).is_ok());
}

#[test]
fn a_token_cannot_choose_its_algorithm() {
    let header = part(&valid(), 0);
    let claims = part(&valid(), 1);
    for alg in
        ["none", "None", "NONE", "nOnE", "", "eddsa", "ES256", "RS256", "PS256", "HS256", "HS384", "HS512"]
    {
        let header = with(header.clone(), "alg", json!(alg));
        let message = format!("{}.{}", encode(&header), encode(&claims));
        refused(alg, &format!("{message}."));
        refused(alg, &signed(&header, &claims));
    }
    let missing = without(header.clone(), "alg");
    refused("no alg", &signed(&missing, &claims));
    refused("alg as a list", &signed(&with(header, "alg", json!(["EdDSA"])), &claims));
}

#[test]
fn the_public_key_is_no_hmac_secret() {
    let header = part(&valid(), 0);
    let claims = part(&valid(), 1);
    let jwk = &public_keys(SEED).jwks(now()).keys[0];
    let raw = URL_SAFE_NO_PAD.decode(&jwk.x).unwrap();
    let spki = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00][..], &raw].concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        base64::engine::general_purpose::STANDARD.encode(&spki)
    );
    let json = serde_json::to_vec(jwk).unwrap();
    for (alg, algorithm) in
        [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
    {
        let header = with(header.clone(), "alg", json!(alg));
        let message = format!("{}.{}", encode(&header), encode(&claims));
        for secret in [&raw[..], jwk.x.as_bytes(), &spki, pem.as_bytes(), &json, b""] {
            let tag = hmac::sign(&hmac::Key::new(algorithm, secret), message.as_bytes());
            refused(alg, &format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag)));
        }
    }
}

#[test]
fn a_token_cannot_bring_its_own_key() {
    let header = part(&valid(), 0);
    let claims = part(&valid(), 1);
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": header["kid"] });
    for (field, value) in [
        ("jwk", jwk),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("cty", json!("JWT")),
    ] {
        let header = with(header.clone(), field, value);
        refused(field, &signed_by(&pair, &header, &claims));
        if field != "b64" {
            // This is refused even if the issuer signed it. `b64` has no effect without `crit`.
            assert_eq!(refused(field, &signed(&header, &claims)), Refused::Header);
        }
    }
    refused("a stranger's key under our kid", &signed_by(&pair, &header, &claims));
}

#[test]
fn a_key_id_is_only_compared() {
    let header = part(&valid(), 0);
    let claims = part(&valid(), 1);
    for kid in [
        json!("../../../../dev/null"),
        json!("/etc/passwd"),
        json!("' OR 1=1 --"),
        json!("http://evil.example/key"),
        json!(""),
        json!("\0"),
        json!("x".repeat(500)),
        json!(format!("{} ", header["kid"].as_str().unwrap())),
    ] {
        let token = signed(&with(header.clone(), "kid", kid.clone()), &claims);
        assert_eq!(refused("kid", &token), Refused::UnknownKey, "{kid}");
    }
    for kid in [json!(null), json!(1), json!(["a"]), json!({})] {
        refused("kid", &signed(&with(header.clone(), "kid", kid), &claims));
    }
    assert_eq!(refused("no kid", &signed(&without(header, "kid"), &claims)), Refused::Header);
}

#[test]
fn tokens_for_another_purpose_are_refused() {
    let header = part(&valid(), 0);
    let claims = part(&valid(), 1);
    for typ in ["JWT", "AT+JWT ", "jwt", "", "rt+jwt", "application/at+jwt", "secevent+jwt"] {
        assert_eq!(refused(typ, &signed(&with(header.clone(), "typ", json!(typ)), &claims)), Refused::Header);
    }
    assert_eq!(refused("no typ", &signed(&without(header.clone(), "typ"), &claims)), Refused::Header);
    for (field, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", json!(format!("{URL}/"))),
        ("iss", json!([URL])),
        ("iss", json!(null)),
        ("aud", json!("other-api")),
        ("aud", json!(["sequent-api", "other-api"])),
        ("aud", json!([])),
        ("aud", json!(null)),
        ("sub", json!("admin")),
        ("sub", json!(null)),
        ("tid", json!("usr_01ARZ3NDEKTSV4RRFFQ69G5FAV")),
        ("sid", json!("")),
        ("exp", json!("9999999999")),
        ("exp", json!(-1)),
        ("exp", json!(0)),
        ("exp", json!(null)),
        ("exp", json!(1e300)),
        ("iat", json!(now().seconds() + 60)),
        ("nbf", json!(now().seconds() + 60)),
        ("nbf", json!("now")),
        ("scope", json!(["admin"])),
        ("jti", json!(null)),
    ] {
        let token = signed(&header, &with(claims.clone(), field, value.clone()));
        refused(&format!("{field} {value}"), &token);
    }
    for field in ["iss", "aud", "sub", "tid", "sid", "exp", "iat", "scope", "jti"] {
        refused(field, &signed(&header, &without(claims.clone(), field)));
    }
    let long_gone = with(claims, "exp", json!(now().seconds() - 6));
    assert_eq!(refused("expired", &signed(&header, &long_gone)), Refused::Expired);
}

#[test]
fn other_credentials_are_no_access_tokens() {
    let refresh = RefreshToken::generate().unwrap();
    let key = ApiKeyToken::generate().unwrap();
    let token = valid();
    let mut parts = token.split('.');
    let header = parts.next().unwrap();
    let claims = parts.next().unwrap();
    for text in [
        refresh.expose().to_owned(),
        key.expose().to_owned(),
        format!("{0}.{0}.{0}", refresh.expose()),
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.x"),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!("{header}..{claims}"),
        format!(" {token}"),
        format!("{token}="),
        format!("{token}\n"),
        "a".repeat(3000),
        "🦀.🦀.🦀".to_owned(),
    ] {
        refused("text", &text);
    }
}

#[test]
fn no_single_changed_byte_is_accepted() {
    let token = valid();
    for index in 0..token.len() {
        for flip in [0x01, 0x02, 0x20] {
            let mut bytes = token.clone().into_bytes();
            bytes[index] ^= flip;
            if let Ok(changed) = String::from_utf8(bytes) {
                refused("a changed byte", &changed);
            }
        }
    }
    for end in 0..token.len() {
        refused("a cut token", &token[..end]);
    }
}

#[test]
fn a_token_of_another_deployment_is_refused() {
    use sequent_core::ExposeSecret;
    let token = issuer().issue(&ring(OTHER_SEED), &subject(), now()).unwrap();
    assert_eq!(refused("another seed", token.expose_secret()), Refused::UnknownKey);
    let elsewhere = Issuer::new("https://elsewhere.example", Duration::from_secs(900));
    let token = elsewhere.issue(&ring(SEED), &subject(), now()).unwrap();
    assert_eq!(refused("another issuer", token.expose_secret()), Refused::Invalid);
}
