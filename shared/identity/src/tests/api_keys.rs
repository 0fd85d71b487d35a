//! API keys from creation to revocation.

use super::*;

#[tokio::test]
async fn a_key_works_within_its_scopes_until_it_is_revoked() {
    let identity = identity().await;
    let ann = sign_up(&identity, "ann@example.com").await;
    let scopes = Scopes::NONE.with(Scope::Chat).with(Scope::RunsRead);
    let (key, token) = identity.create_api_key(&caller(&ann), named("ci", scopes), at(1)).await.unwrap();
    assert!(token.expose().starts_with(&key.prefix) && key.prefix.len() == 9, "{}", key.prefix);

    let credential = Credential::ApiKey(token.expose().into());
    let principal = identity.authenticate(&credential).await.unwrap();
    assert_eq!(
        (principal.tenant, principal.api_key, principal.scopes),
        (ann.user.tenant_id, Some(key.id), scopes)
    );
    let wider = named("more", scopes.with(Scope::Account));
    let wider = identity.create_api_key(&principal, wider, at(2)).await;
    assert!(matches!(wider, Err(Error::ScopesExceeded)), "{wider:?}");

    let stranger = Principal { tenant: TenantId::new(), user: UserId::new(), ..caller(&ann) };
    assert!(matches!(identity.revoke_api_key(&stranger, key.id, at(3)).await, Err(Error::NotFound)));
    identity.revoke_api_key(&caller(&ann), key.id, at(3)).await.unwrap();
    // The process that revoked the key refuses it at once.
    assert!(matches!(identity.authenticate(&credential).await, Err(Error::InvalidCredential)));
    assert!(matches!(identity.revoke_api_key(&caller(&ann), key.id, at(4)).await, Err(Error::NotFound)));
    assert_eq!(
        actions(&identity, ann.user.tenant_id).await,
        [AuditAction::SignedUp, AuditAction::ApiKeyCreated, AuditAction::ApiKeyRevoked]
    );
}

#[tokio::test]
async fn the_last_use_of_a_key_is_noted_once_a_minute() {
    let store = testing::store().await;
    let maker = identity_over(store.clone(), 1);
    let ann = sign_up(&maker, "ann@example.com").await;
    let (key, token) = maker.create_api_key(&caller(&ann), named("ci", Scopes::ALL), at(0)).await.unwrap();
    let list = || PageRequest::new(key::api_keys(ann.user.tenant_id));
    let mut noted = Vec::new();
    for seconds in [10, 69, 70, 71] {
        // A new process each time, so that nothing is remembered but what the table says.
        let process = identity_over(store.clone(), 1);
        assert!(process.api_key(&token, at(seconds)).await.unwrap().is_some());
        let page = process.api_keys(&list()).await.unwrap();
        noted.push(page.items[0].last_used_at.unwrap());
        assert_eq!(page.items[0].id, key.id);
    }
    assert_eq!(noted, [at(10), at(10), at(10), at(71)]);
    let unknown = ApiKeyToken::generate().unwrap();
    assert_eq!(maker.api_key(&unknown, at(0)).await.unwrap(), None);
}

#[tokio::test]
async fn a_key_works_until_it_expires_and_creates_none_that_lives_longer() {
    let store = testing::store().await;
    let identity = identity_over(store.clone(), 1);
    let ann = sign_up(&identity, "ann@example.com").await;
    let new = NewApiKey { valid_until: Some(at(100)), ..named("ci", Scopes::ALL) };
    let (key, token) = identity.create_api_key(&caller(&ann), new, at(0)).await.unwrap();
    assert!(identity.api_key(&token, at(99)).await.unwrap().is_some());
    assert_eq!(
        identity.api_key(&token, at(100)).await.unwrap(),
        None,
        "what the process remembers expires, too"
    );
    assert_eq!(identity_over(store, 1).api_key(&token, at(100)).await.unwrap(), None);

    let by_key = Principal { session: None, api_key: Some(key.id), via: Via::ApiKey, ..caller(&ann) };
    let (child, _) = identity.create_api_key(&by_key, named("child", Scopes::ALL), at(1)).await.unwrap();
    assert_eq!((child.valid_until, child.session), (Some(at(100)), Some(ann.session.id)));
}
