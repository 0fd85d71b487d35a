//! Wrong passwords, as the owner and strangers meet their consequences.

use super::*;

const DAY: u64 = 24 * 3600;

fn from(address: &str) -> Device {
    Device { address: Some(address.to_owned()), ..Device::default() }
}

async fn try_from_address(
    identity: &Identity,
    with: &str,
    address: &str,
    now: Timestamp,
) -> Result<SignedIn, Error> {
    identity.sign_in(&"ann@example.com".parse().unwrap(), password(with), from(address), now).await
}

#[tokio::test]
async fn a_hundred_wrong_passwords_of_a_day_do_not_lock_out_the_owner() {
    let identity = identity().await;
    let ann = sign_up(&identity, "ann@example.com").await;
    for number in 0..100 {
        let refused = try_from_address(&identity, "wrong", "198.51.100.1", at(number * DAY / 100)).await;
        assert!(matches!(refused, Err(Error::WrongCredentials | Error::SlowDown(_))), "{refused:?}");
    }
    let now = at(DAY);
    let known = Device { token: Some(ann.device.unwrap().expose().into()), ..from("198.51.100.1") };
    let email = "ann@example.com".parse().unwrap();
    identity.sign_in(&email, password(PASSWORD), known, now).await.expect("at once on a known device");
    match try_from_address(&identity, PASSWORD, "203.0.113.5", now).await {
        Ok(_) => {}
        Err(Error::SlowDown(wait)) => {
            assert!(wait <= Duration::from_secs(300), "{wait:?}");
            try_from_address(&identity, PASSWORD, "203.0.113.5", now + wait).await.expect("after the wait");
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_device_token_of_another_account_is_worth_nothing() {
    let identity = identity().await;
    sign_up(&identity, "ann@example.com").await;
    let eve = sign_up(&identity, "eve@example.com").await;
    for _ in 0..5 {
        assert!(matches!(
            sign_in(&identity, "ann@example.com", "wrong", at(0)).await,
            Err(Error::WrongCredentials)
        ));
    }
    let device = Device { token: Some(eve.device.unwrap().expose().into()), ..Device::default() };
    let refused =
        identity.sign_in(&"ann@example.com".parse().unwrap(), password(PASSWORD), device, at(0)).await;
    assert!(matches!(refused, Err(Error::SlowDown(_))), "{refused:?}");
}

#[tokio::test]
async fn a_sign_in_on_a_known_device_keeps_its_token() {
    let identity = identity().await;
    let first = sign_up(&identity, "ann@example.com").await.device.unwrap();
    let known = Device { token: Some(first.expose().into()), ..Device::default() };
    let email = "ann@example.com".parse().unwrap();
    let again = identity.sign_in(&email, password(PASSWORD), known, at(1)).await.unwrap();
    assert_eq!(again.device.unwrap().expose(), first.expose());
    let elsewhere = sign_in(&identity, "ann@example.com", PASSWORD, at(2)).await.unwrap();
    assert_ne!(elsewhere.device.unwrap().expose(), first.expose());
}

#[tokio::test]
async fn failures_are_recorded_and_the_right_password_resets_the_count() {
    let identity = identity().await;
    let ann = sign_up(&identity, "ann@example.com").await;
    for number in 0..10 {
        let refused =
            try_from_address(&identity, "wrong", &format!("198.51.100.{}", number % 3), at(0)).await;
        assert!(matches!(refused, Err(Error::WrongCredentials)), "{refused:?}");
    }
    try_from_address(&identity, PASSWORD, "198.51.100.9", at(1)).await.unwrap();
    let trail = trail(&identity, ann.user.tenant_id).await;
    let seen: Vec<_> = trail.iter().map(|entry| (entry.action, entry.count)).collect();
    assert_eq!(
        seen,
        [
            (AuditAction::SignedUp, None),
            (AuditAction::SignInFailures, Some(10)),
            (AuditAction::SignedIn, None)
        ]
    );
}

#[tokio::test]
async fn composed_and_decomposed_characters_sign_in_alike() {
    let identity = identity().await;
    let account = NewAccount {
        email: "ann@example.com".parse().unwrap(),
        password: password("p\u{e4}ssw\u{f6}rd korrekt"),
        name: String::new(),
    };
    identity.sign_up(account, Device::default(), at(0)).await.unwrap();
    for text in ["p\u{e4}ssw\u{f6}rd korrekt", "pa\u{308}sswo\u{308}rd korrekt"] {
        sign_in(&identity, "ann@example.com", text, at(1)).await.unwrap();
    }
}
