//! The cases that the libraries of the specification test, on raw bytes.

use proptest::prelude::*;

use super::*;

const BODY: &[u8] = br#"{"test": 2432232314}"#;
const MESSAGE: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const AT: Timestamp = Timestamp::from_millis(1_614_265_330_000);
const EXPECTED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn secret() -> SigningSecret {
    SigningSecret::parse(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap()
}

fn received(signature: &str) -> SignedHeaders<'_> {
    SignedHeaders { id: Some(MESSAGE), timestamp: Some("1614265330"), signature: Some(signature) }
}

fn check(received: SignedHeaders<'_>, body: &[u8]) -> Result<(), Unverified> {
    verify(received, body, [&secret()], AT).map(drop)
}

#[test]
fn a_message_is_signed_as_the_official_libraries_sign_it() {
    let made = headers(MESSAGE, AT, BODY, [&secret()]);
    let expected = [(ID, MESSAGE), (TIMESTAMP, "1614265330"), (SIGNATURE, EXPECTED)];
    assert_eq!(made, expected.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(verify(received(EXPECTED), BODY, [&secret()], AT), Ok(MESSAGE));
}

#[test]
fn the_second_vector_of_the_specification_is_verified() {
    let secret = SigningSecret::parse(&"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".into()).unwrap();
    let body = br#"{"email":"test@example.com","username":"test_user"}"#;
    let received = SignedHeaders {
        id: Some("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"),
        timestamp: Some("1649367553"),
        signature: Some("v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="),
    };
    verify(received, body, [&secret], Timestamp::from_millis(1_649_367_553_000)).unwrap();
}

#[test]
fn one_signature_of_several_is_enough() {
    let other =
        "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
    let asymmetric = EXPECTED.replace("v1,", "v1a,");
    assert_eq!(check(received(&format!("{other} {EXPECTED} v1a,x")), BODY), Ok(()));
    for wrong in [other, &asymmetric, "v1,", &EXPECTED[..8], &EXPECTED[3..], "v1", " "] {
        assert_eq!(check(received(wrong), BODY), Err(Unverified::Wrong), "{wrong}");
    }
}

#[test]
fn during_a_rotation_a_message_is_signed_with_both_secrets() {
    let next = SigningSecret::generate().unwrap();
    let [_, _, (_, both)] = headers(MESSAGE, AT, BODY, [&next, &secret()]);
    assert_eq!(check(received(&both), BODY), Ok(()));
    assert_eq!(verify(received(&both), BODY, [&next], AT), Ok(MESSAGE));
    let [_, _, (_, old)] = headers(MESSAGE, AT, BODY, [&secret()]);
    assert_eq!(verify(received(&old), BODY, [&next, &secret()], AT), Ok(MESSAGE));
}

#[test]
fn a_missing_or_malformed_header_is_told() {
    let whole = received(EXPECTED);
    for missing in [
        SignedHeaders { id: None, ..whole },
        SignedHeaders { timestamp: Some(""), ..whole },
        SignedHeaders { signature: None, ..whole },
    ] {
        assert_eq!(check(missing, BODY), Err(Unverified::Missing), "{missing:?}");
    }
    for timestamp in ["+1614265330", "1614265330.0", " 1614265330", "99999999999999999999"] {
        let malformed = SignedHeaders { timestamp: Some(timestamp), ..whole };
        assert_eq!(check(malformed, BODY), Err(Unverified::Malformed), "{timestamp}");
    }
    // Without the rule about periods, `id.1.2` could be read as another id with another time.
    let malformed = SignedHeaders { id: Some("msg.1"), ..whole };
    assert_eq!(check(malformed, BODY), Err(Unverified::Malformed));
}

#[test]
fn a_message_is_accepted_for_five_minutes_before_and_after_its_time() {
    let at = |seconds: i64| Timestamp::from_millis(AT.millis() + 1000 * seconds);
    for seconds in [-300, 0, 300] {
        assert_eq!(verify(received(EXPECTED), BODY, [&secret()], at(seconds)), Ok(MESSAGE));
    }
    for seconds in [-301, 301] {
        let refused = verify(received(EXPECTED), BODY, [&secret()], at(seconds));
        assert_eq!(refused, Err(Unverified::Untimely));
    }
}

#[test]
fn a_secret_is_read_as_providers_write_it_and_shows_nothing_of_itself() {
    let made = SigningSecret::generate().unwrap();
    let text = made.text();
    assert!(text.expose_secret().starts_with("whsec_"));
    let bare = text.expose_secret().trim_start_matches("whsec_").trim_end_matches('=').to_owned();
    for written in [text.expose_secret(), &bare, &format!(" {} ", text.expose_secret())] {
        let read = SigningSecret::parse(&written.into()).unwrap();
        assert_eq!(read.text().expose_secret(), text.expose_secret());
    }
    for wrong in ["", "whsec_", "whsec_short", "whsec_no base 64 at all, but long enough to be a secret"] {
        assert_eq!(SigningSecret::parse(&wrong.into()).unwrap_err(), SecretError::Malformed, "{wrong}");
    }
    assert!(!format!("{made:?}").contains(&bare));
}

proptest! {
    #[test]
    fn every_message_is_verified_and_no_changed_one(id in "[a-z_0-9]{1,40}", body: Vec<u8>, at in 0..4_000_000_000i64) {
        let at = Timestamp::from_millis(at * 1000);
        let secret = SigningSecret::generate().unwrap();
        let [(_, id), (_, timestamp), (_, signature)] = headers(&id, at, &body, [&secret]);
        let received = SignedHeaders { id: Some(&id), timestamp: Some(&timestamp), signature: Some(&signature) };
        prop_assert_eq!(verify(received, &body, [&secret], at), Ok(id.as_str()));
        let changed = [body.as_slice(), b" "].concat();
        prop_assert_eq!(verify(received, &changed, [&secret], at), Err(Unverified::Wrong));
    }

    #[test]
    fn no_header_makes_the_check_panic(id in ".{0,20}", timestamp in ".{0,20}", signature in ".{0,60}") {
        let received = SignedHeaders { id: Some(&id), timestamp: Some(&timestamp), signature: Some(&signature) };
        let _ = verify(received, BODY, [&secret()], AT);
    }
}
