//! The cases that Stripe's own libraries test (stripe-go, stripe-node, stripe-python, stripe-ruby), on raw bytes.

use proptest::prelude::*;

use super::*;
use crate::Event;

const PAYLOAD: &[u8] = b"{\n  \"id\": \"evt_test_webhook\",\n  \"object\": \"event\"\n}";
const NOW: i64 = 1_763_700_000_000;

fn secret() -> SecretString {
    SecretString::from("whsec_test_secret")
}

fn now() -> Timestamp {
    Timestamp::from_millis(NOW)
}

/// Returns the header of a payload that was signed `millis` before now.
fn header(payload: &[u8], millis: i64) -> String {
    sign(payload, &secret(), Timestamp::from_millis(NOW - millis))
}

fn check(payload: &[u8], header: &str) -> Result<(), Refused> {
    verify(payload, Some(header), &[secret()], now())
}

#[test]
fn a_signature_is_what_the_official_libraries_compute() {
    // stripe-python: `WebhookSignature._compute_signature("1763700000." + payload, "whsec_test_secret")`.
    let made = sign(PAYLOAD, &secret(), now());
    assert_eq!(made, "t=1763700000,v1=529dd8c3dd717da6dfb5e83e99d346792cd3b8964dc452880513964295eba03e");
    assert_eq!(check(PAYLOAD, &made), Ok(()));
}

#[test]
fn a_header_that_is_missing_or_empty_is_told_apart() {
    assert_eq!(verify(PAYLOAD, None, &[secret()], now()), Err(Refused::Missing));
    assert_eq!(check(PAYLOAD, ""), Err(Refused::Missing));
}

#[test]
fn a_header_of_another_form_is_malformed() {
    let good = header(PAYLOAD, 0);
    let signature = good.split_once(",v1=").unwrap().1;
    for bad in [
        "bad_header",
        "i'm not even a real signature header",
        "v1,t=1",
        "t=",
        "t=,v1=",
        "t",
        ",",
        "=",
        "t=1763700000,",
        "v1=abc",
        "t=abc,v1=abc",
        "t=99999999999999999999999,v1=abc",
        &format!("v1={signature}"),
        &format!("t=+1763700000,v1={signature}"),
        &format!("t=-1763700000,v1={signature}"),
        &format!("t= 1763700000,v1={signature}"),
        &format!("t=1763700000.0,v1={signature}"),
    ] {
        assert!(
            matches!(check(PAYLOAD, bad), Err(Refused::Malformed | Refused::NoScheme)),
            "{bad}: {:?}",
            check(PAYLOAD, bad)
        );
    }
}

#[test]
fn only_scheme_v1_counts() {
    let good = header(PAYLOAD, 0);
    assert_eq!(check(PAYLOAD, &good.replace("v1=", "v0=")), Err(Refused::NoScheme));
    assert_eq!(check(PAYLOAD, &good.replace("v1=", "v2=")), Err(Refused::NoScheme));
    assert_eq!(check(PAYLOAD, &good.replace("v1=", "V1=")), Err(Refused::NoScheme));
    assert_eq!(check(PAYLOAD, "t=1763700000,v0=00"), Err(Refused::NoScheme));
    assert_eq!(check(PAYLOAD, &format!("{good},v0=00")), Ok(()), "another scheme beside it does no harm");
}

#[test]
fn a_wrong_signature_is_refused_and_one_beside_a_good_one_is_passed_over() {
    for bad in ["bad_signature", "fake signature", "deadbeef", "", "potato"] {
        let header = format!("t=1763700000,v1={bad}");
        assert!(matches!(check(PAYLOAD, &header), Err(Refused::Wrong | Refused::NoScheme)), "{bad}");
    }
    let good = header(PAYLOAD, 0);
    for extra in [",v1=bad_signature", ",v1=deadbeef", ",v1=potato", ",v1="] {
        assert_eq!(check(PAYLOAD, &format!("{good}{extra}")), Ok(()), "{extra}");
    }
    let (time, signature) = good.split_once(',').unwrap();
    assert_eq!(check(PAYLOAD, &format!("{time},v1=deadbeef,{signature}")), Ok(()), "whichever comes first");
}

#[test]
fn a_rolled_secret_fits_on_either_side() {
    let rolled = SecretString::from("whsec_test_secret_rolled_key");
    let both =
        format!("{},v1={}", header(PAYLOAD, 0), sign(PAYLOAD, &rolled, now()).split_once(",v1=").unwrap().1);
    // During a rotation Stripe signs with both secrets. Either of them is accepted.
    assert_eq!(verify(PAYLOAD, Some(&both), &[secret()], now()), Ok(()));
    assert_eq!(verify(PAYLOAD, Some(&both), std::slice::from_ref(&rolled), now()), Ok(()));
    // If we have both secrets, a signature by either is accepted.
    let ours = [secret(), rolled.clone()];
    assert_eq!(verify(PAYLOAD, Some(&header(PAYLOAD, 0)), &ours, now()), Ok(()));
    assert_eq!(verify(PAYLOAD, Some(&sign(PAYLOAD, &rolled, now())), &ours, now()), Ok(()));
    assert_eq!(verify(PAYLOAD, Some(&both), &["whsec_third".into()], now()), Err(Refused::Wrong));
    assert_eq!(
        verify(PAYLOAD, Some(&both), &[], now()),
        Err(Refused::Wrong),
        "without a secret nothing fits"
    );
}

#[test]
fn the_tolerance_ends_at_300_seconds() {
    assert_eq!(check(PAYLOAD, &header(PAYLOAD, 299_000)), Ok(()), "a second inside");
    assert_eq!(check(PAYLOAD, &header(PAYLOAD, 300_000)), Ok(()), "at the edge");
    assert_eq!(check(PAYLOAD, &header(PAYLOAD, 301_000)), Err(Refused::Old), "a second outside");
    // The header has whole seconds, but our clock has milliseconds.
    let edge = header(PAYLOAD, 300_000);
    let a_millisecond_later = Timestamp::from_millis(NOW + 1);
    assert_eq!(verify(PAYLOAD, Some(&edge), &[secret()], a_millisecond_later), Err(Refused::Old));
    assert_eq!(
        check(PAYLOAD, &sign(PAYLOAD, &secret(), Timestamp::from_millis(12_345_000))),
        Err(Refused::Old)
    );
    // Like the official libraries, accept a signature from a clock that is ahead.
    assert_eq!(check(PAYLOAD, &header(PAYLOAD, -400_000)), Ok(()));
    // A signature that is both wrong and old is reported as wrong, so that guessing reveals nothing about the clock.
    let wrong = header(PAYLOAD, 301_000).replace("v1=", "v1=00");
    assert_eq!(check(PAYLOAD, &wrong), Err(Refused::Wrong));
}

#[test]
fn the_body_is_taken_as_it_came() {
    let good = header(PAYLOAD, 0);
    let compact = b"{\"id\":\"evt_test_webhook\",\"object\":\"event\"}";
    assert_eq!(check(compact, &good), Err(Refused::Wrong), "the same JSON, written differently");
    assert_eq!(check(b"", &good), Err(Refused::Wrong));
    let longer = [PAYLOAD, b"["].concat();
    assert_eq!(check(&longer, &good), Err(Refused::Wrong));
    // Signed bytes that are not JSON are from Stripe but cannot be parsed.
    let broken = b"} I am not valid JSON; 123][\xff\0";
    assert_eq!(check(broken, &header(broken, 0)), Ok(()));
    assert!(Event::read(broken).is_err());
}

proptest! {
    #[test]
    fn one_changed_byte_is_seen(payload: Vec<u8>, at in 0_usize..1000, flip in 1_u8..) {
        let good = header(&payload, 0);
        prop_assert_eq!(check(&payload, &good), Ok(()));
        if !payload.is_empty() {
            let mut changed = payload.clone();
            let place = at % changed.len();
            changed[place] ^= flip;
            prop_assert_eq!(check(&changed, &good), Err(Refused::Wrong));
        }
    }

    #[test]
    fn no_header_makes_it_panic(payload: Vec<u8>, header in "[tv10=,a-f .]{0,80}") {
        prop_assert!(check(&payload, &header).is_err());
    }
}
