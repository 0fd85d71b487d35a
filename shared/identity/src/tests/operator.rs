//! The operator suspends, reinstates and unlocks accounts.

use super::*;

#[tokio::test]
async fn a_suspended_account_has_neither_sessions_nor_keys_until_it_is_reinstated() {
    let store = testing::store().await;
    let identity = identity_over(store.clone(), 1);
    let ann = sign_up(&identity, "ann@example.com").await;
    let (key, token) = identity.create_api_key(&caller(&ann), named("ci", Scopes::ALL), at(1)).await.unwrap();
    let email = "ann@example.com".parse().unwrap();
    let account = identity.suspend(&email, at(2)).await.unwrap();
    assert_eq!((account.user.id, account.suspended_at), (ann.user.id, Some(at(2))));
    assert!(matches!(identity.refresh(&ann.refresh_token, at(3)).await, Err(Error::InvalidRefreshToken)));
    let right = sign_in(&identity, "ann@example.com", PASSWORD, at(3)).await;
    assert!(matches!(right, Err(Error::Suspended)), "{right:?}");
    let wrong = sign_in(&identity, "ann@example.com", "wrong", at(3)).await;
    assert!(matches!(wrong, Err(Error::WrongCredentials)), "strangers do not learn of it: {wrong:?}");
    for process in [&identity, &identity_over(store, 1)] {
        assert_eq!(process.api_key(&token, at(3)).await.unwrap(), None);
    }
    assert_eq!(identity.suspend(&email, at(4)).await.unwrap().suspended_at, Some(at(2)), "once");

    identity.reinstate(&email, at(5)).await.unwrap();
    assert_eq!(identity.api_key(&token, at(6)).await.unwrap().unwrap().id, key.id);
    sign_in(&identity, "ann@example.com", PASSWORD, at(6)).await.unwrap();
    let trail = actions(&identity, ann.user.tenant_id).await;
    let of_operator: Vec<_> = trail
        .into_iter()
        .filter(|action| matches!(action, AuditAction::AccountSuspended | AuditAction::AccountReinstated))
        .collect();
    assert_eq!(of_operator, [AuditAction::AccountSuspended, AuditAction::AccountReinstated]);
}

#[tokio::test]
async fn an_unlocked_account_compares_the_next_password_at_once() {
    let identity = identity().await;
    sign_up(&identity, "ann@example.com").await;
    for _ in 0..5 {
        assert!(matches!(
            sign_in(&identity, "ann@example.com", "wrong", at(0)).await,
            Err(Error::WrongCredentials)
        ));
    }
    assert!(matches!(sign_in(&identity, "ann@example.com", PASSWORD, at(0)).await, Err(Error::SlowDown(_))));
    let email = "ann@example.com".parse().unwrap();
    identity.unlock(&email, at(0)).await.unwrap();
    sign_in(&identity, "ann@example.com", PASSWORD, at(0)).await.unwrap();
    let unknown = identity.unlock(&"eve@example.com".parse().unwrap(), at(0)).await;
    assert!(matches!(unknown, Err(Error::NotFound)), "{unknown:?}");
}
