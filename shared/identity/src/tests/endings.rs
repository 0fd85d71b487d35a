//! Sessions that end: access tokens and API keys stop with them.

use super::*;
use crate::{CredentialRow, PasswordChange};

async fn authenticate(identity: &Identity, of: &SignedIn) -> Result<Principal, Error> {
    identity.authenticate(&Credential::AccessToken { token: of.access_token.clone(), via: Via::Bearer }).await
}

/// Signs up at the present time, as tokens are verified at the present time.
async fn sign_up_now(identity: &Identity, email: &str) -> SignedIn {
    let account =
        NewAccount { email: email.parse().unwrap(), password: password(PASSWORD), name: "Ann".to_owned() };
    identity.sign_up(account, Device::default(), Timestamp::now()).await.unwrap()
}

#[tokio::test]
async fn an_access_token_ends_with_its_session() {
    let store = testing::store().await;
    let identity = identity_over(store.clone(), 1);
    let ann = sign_up_now(&identity, "ann@example.com").await;
    assert_eq!(authenticate(&identity, &ann).await.unwrap(), caller(&ann));
    identity.sign_out(&ann.refresh_token, Timestamp::now()).await.unwrap();
    for process in [&identity, &identity_over(store, 1)] {
        let refused = authenticate(process, &ann).await;
        assert!(matches!(refused, Err(Error::InvalidCredential)), "{refused:?}");
    }
}

#[tokio::test]
async fn a_process_trusts_a_session_for_some_seconds_and_no_token_without_a_table() {
    let identity = identity().await;
    let ann = sign_up_now(&identity, "ann@example.com").await;
    let elsewhere = identity_over(testing::unreachable_store().await, 1);
    let refused = authenticate(&elsewhere, &ann).await;
    assert!(matches!(refused, Err(Error::Table(_))), "{refused:?}");
    for text in [
        ann.refresh_token.expose().to_owned(),
        format!("{}x", ann.access_token.expose_secret()),
        String::new(),
    ] {
        let credential = Credential::AccessToken { token: text.into(), via: Via::Bearer };
        let refused = elsewhere.authenticate(&credential).await;
        assert!(
            matches!(refused, Err(Error::InvalidCredential)),
            "a forged token costs no read: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_copied_session_takes_its_api_keys_along() {
    let identity = identity().await;
    let ann = sign_up(&identity, "ann@example.com").await;
    let phone = sign_in(&identity, "ann@example.com", PASSWORD, at(1)).await.unwrap();
    let (own, _) = identity.create_api_key(&caller(&phone), named("own", Scopes::ALL), at(2)).await.unwrap();
    let (stolen, token) =
        identity.create_api_key(&caller(&ann), named("stolen", Scopes::ALL), at(2)).await.unwrap();
    let by_key = Principal { session: None, api_key: Some(stolen.id), via: Via::ApiKey, ..caller(&ann) };
    let (_, of_key) = identity.create_api_key(&by_key, named("of it", Scopes::ALL), at(3)).await.unwrap();

    let second = identity.refresh(&ann.refresh_token, at(100)).await.unwrap().refresh_token;
    identity.refresh(&second, at(200)).await.unwrap();
    let reused = identity.refresh(&ann.refresh_token, at(300)).await;
    assert!(matches!(reused, Err(Error::ReusedRefreshToken)), "{reused:?}");
    for token in [&token, &of_key] {
        assert_eq!(identity.api_key(token, at(301)).await.unwrap(), None);
    }
    let left = identity.every_api_key(ann.user.tenant_id).await.unwrap();
    assert_eq!(left.iter().map(|key| key.id).collect::<Vec<_>>(), [own.id]);
    let late = identity.create_api_key(&caller(&ann), named("late", Scopes::ALL), at(301)).await;
    assert!(matches!(late, Err(Error::InvalidCredential)), "{late:?}");
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions() {
    let identity = identity().await;
    let ann = sign_up(&identity, "ann@example.com").await;
    let phone = sign_in(&identity, "ann@example.com", PASSWORD, at(1)).await.unwrap();
    let change = |current: &str| PasswordChange {
        current: password(current),
        new: password("seven lanterns over the harbour"),
    };
    let wrong = identity.change_password(&caller(&phone), change("wrong"), at(2)).await;
    assert!(matches!(wrong, Err(Error::WrongCredentials)), "{wrong:?}");
    identity.change_password(&caller(&phone), change(PASSWORD), at(2)).await.unwrap();
    assert!(matches!(identity.refresh(&ann.refresh_token, at(3)).await, Err(Error::InvalidRefreshToken)));
    assert!(
        identity.refresh(&phone.refresh_token, at(3)).await.is_ok(),
        "the session that changed it goes on"
    );
    let old = sign_in(&identity, "ann@example.com", PASSWORD, at(4)).await;
    assert!(matches!(old, Err(Error::WrongCredentials)), "{old:?}");
    sign_in(&identity, "ann@example.com", "seven lanterns over the harbour", at(5)).await.unwrap();
    assert!(actions(&identity, ann.user.tenant_id).await.contains(&AuditAction::PasswordChanged));
}

#[tokio::test]
async fn a_session_must_present_its_password_again_after_ten_minutes() {
    let identity = identity().await;
    let ann = sign_up(&identity, "ann@example.com").await;
    identity.require_recent(&caller(&ann), at(600)).await.unwrap();
    let late = identity.require_recent(&caller(&ann), at(601)).await;
    assert!(matches!(late, Err(Error::ReauthenticationRequired)), "{late:?}");
    let wrong = identity.reauthenticate(&caller(&ann), password("wrong"), at(601)).await;
    assert!(matches!(wrong, Err(Error::WrongCredentials)), "{wrong:?}");
    identity.reauthenticate(&caller(&ann), password(PASSWORD), at(602)).await.unwrap();
    identity.require_recent(&caller(&ann), at(1202)).await.unwrap();
    let by_key = Principal { session: None, ..caller(&ann) };
    identity.require_recent(&by_key, at(9999)).await.expect("a key has no password");
    let by_key = identity.reauthenticate(&by_key, password(PASSWORD), at(1202)).await;
    assert!(matches!(by_key, Err(Error::NoSession)), "{by_key:?}");
}

#[tokio::test]
async fn a_copied_session_is_no_means_of_guessing_the_password() {
    let identity = identity().await;
    let ann = sign_up(&identity, "ann@example.com").await;
    let mut compared = 0;
    for _ in 0..20 {
        let guess = identity.reauthenticate(&caller(&ann), password("wrong"), at(0)).await;
        compared += u32::from(matches!(guess, Err(Error::WrongCredentials)));
    }
    assert_eq!(compared, 5);
    sign_in(&identity, "ann@example.com", PASSWORD, at(0))
        .await
        .expect("the owner elsewhere does not wait for it");
}

#[tokio::test]
async fn a_look_at_a_credential_that_lasts_costs_one_cheap_read() {
    let store = testing::store().await;
    let (elsewhere, requests) = testing::process(&store);
    let identity = identity_over(elsewhere, 1);
    let ann = sign_up(&identity, "ann@example.com").await;
    let me = caller(&ann);
    let new = NewApiKey { valid_until: Some(at(50)), ..named("short", Scopes::ALL) };
    let (_, token) = identity.create_api_key(&me, new, at(1)).await.unwrap();
    let access = Credential::AccessToken { token: ann.access_token.clone(), via: Via::Bearer };
    let session = CredentialRow::of(&access, &me).unwrap();
    let by_key = Principal { session: None, ..me.clone() };
    let key = CredentialRow::of(&Credential::ApiKey(token.expose().into()), &by_key).unwrap();
    let _ = requests.take();
    let _ = requests.take_strong_reads();
    for (row, second, is_valid) in [
        (&key, 49, true),
        (&key, 50, false),
        // The access token has expired, and its session has not.
        (&session, 24 * 3600, true),
    ] {
        assert_eq!(identity.is_still_valid(row, at(second)).await.unwrap(), is_valid, "{second}");
    }
    assert_eq!((requests.take(), requests.take_strong_reads()), ([("GetItem".to_owned(), 3)].into(), 0));
    identity.sign_out(&ann.refresh_token, at(60)).await.unwrap();
    assert!(!identity.is_still_valid(&session, at(61)).await.unwrap());
}
