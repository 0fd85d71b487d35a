//! Hooks are created, changed, given other tokens and deleted.

use sequent_core::{Scope, Scopes};
use sequent_hooks::{Error, HookChange, HookSigning, MAX_HOOKS, delete_hooks};
use sequent_tables::testing::all_rows;
use serde_json::{Value, json};

use crate::bench::{Bench, caller, spec};

fn change(change: Value) -> HookChange {
    serde_json::from_value(change).unwrap()
}

#[tokio::test]
async fn the_token_and_the_secret_are_in_no_row() {
    let bench = Bench::new().await;
    let signing = HookSigning::Generated;
    let issued = bench.hooks.create(&bench.caller, spec(json!({})), signing, bench.now).await.unwrap();
    let rows = format!("{:?}", all_rows(&bench.store).await);
    assert!(rows.contains(&issued.hook.token_prefix));
    assert!(!rows.contains(issued.token.expose()) && !rows.contains("whsec_"));
    assert!(issued.secret.is_some() && issued.token.expose().len() == 46, "256 bits in base 64");
    let shown = format!("{issued:?}");
    assert!(!shown.contains(issued.token.expose()) && !shown.contains("whsec_"), "{shown}");
}

#[tokio::test]
async fn a_tenant_has_twenty_hooks_at_most() {
    let bench = Bench::new().await;
    let mut first = None;
    for _ in 0..MAX_HOOKS {
        first.get_or_insert(bench.create(spec(json!({}))).await.hook.id);
    }
    let create = || bench.hooks.create(&bench.caller, spec(json!({})), HookSigning::None, bench.now);
    assert!(matches!(create().await, Err(Error::TooMany)));
    bench.hooks.delete(bench.caller.tenant, first.unwrap()).await.unwrap();
    create().await.unwrap();
    assert_eq!(bench.hooks.list(bench.caller.tenant).await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_replaced_token_is_unknown_and_the_new_one_is_of_its_maker() {
    let bench = Bench::new().await;
    let before = bench.create(spec(json!({}))).await;
    let key = Scopes::NONE.with(Scope::WebhooksWrite).with(Scope::Chat);
    let maker = sequent_core::Principal { scopes: key, ..bench.caller.clone() };
    let after = bench.hooks.rotate(&maker, before.hook.id, bench.now).await.unwrap();
    assert!(matches!(bench.called(&before).await, Err(Error::UnknownToken)));
    assert_eq!(bench.called(&after).await.unwrap().hook.scopes(), key);
}

#[tokio::test]
async fn a_change_by_another_credential_has_its_scopes_and_a_switch_keeps_them() {
    let bench = Bench::new().await;
    let issued = bench.create(spec(json!({}))).await;
    let scopes = Scopes::NONE.with(Scope::WebhooksWrite).with(Scope::Chat);
    let key = sequent_core::Principal { scopes, ..bench.caller.clone() };
    let apply =
        |json: Value| async { bench.hooks.change(&key, issued.hook.id, &change(json), bench.now).await };
    assert_eq!(apply(json!({"enabled": false})).await.unwrap().scopes(), Scopes::ALL);
    assert!(matches!(apply(json!({"on_conflict": "interrupt"})).await, Err(Error::Scope(_))));
    let changed = apply(json!({"input": "Other", "enabled": true})).await.unwrap();
    assert_eq!((changed.scopes(), changed.spec.input.as_str()), (scopes, "Other"));
}

#[tokio::test]
async fn signatures_are_demanded_with_a_secret_only() {
    let bench = Bench::new().await;
    let issued = bench.create(spec(json!({}))).await;
    let apply = |json: Value| async {
        bench.hooks.change(&bench.caller, issued.hook.id, &change(json), bench.now).await
    };
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert!(matches!(apply(json!({"signed": true})).await, Err(Error::SecretMissing)));
    assert!(matches!(apply(json!({"secret": secret})).await, Err(Error::SecretUnused)));
    assert!(matches!(apply(json!({"signed": true, "secret": "x"})).await, Err(Error::Secret)));
    assert!(apply(json!({"signed": true, "secret": secret})).await.unwrap().is_signed());
    assert!(apply(json!({"name": "Signed"})).await.unwrap().is_signed(), "another change keeps the secret");
    assert!(!apply(json!({"signed": false})).await.unwrap().is_signed());
    assert!(matches!(apply(json!({"signed": true})).await, Err(Error::SecretMissing)), "it is forgotten");
}

#[tokio::test]
async fn a_hook_of_another_tenant_is_not_found() {
    let bench = Bench::new().await;
    let id = bench.create(spec(json!({}))).await.hook.id;
    let eve = caller(Scopes::ALL);
    let switch = change(json!({"enabled": false}));
    assert!(matches!(bench.hooks.get(eve.tenant, id).await, Err(Error::NotFound)));
    assert!(matches!(bench.hooks.change(&eve, id, &switch, bench.now).await, Err(Error::NotFound)));
    assert!(matches!(bench.hooks.rotate(&eve, id, bench.now).await, Err(Error::NotFound)));
    assert!(matches!(bench.hooks.delete(eve.tenant, id).await, Err(Error::NotFound)));
    assert!(bench.hooks.get(bench.caller.tenant, id).await.unwrap().spec.enabled);
}

#[tokio::test]
async fn no_row_of_a_closed_account_is_left() {
    let bench = Bench::new().await;
    let issued = bench.create(spec(json!({}))).await;
    delete_hooks(&bench.store, bench.caller.tenant).await.unwrap();
    let rows = format!("{:?}", all_rows(&bench.store).await);
    assert!(!rows.contains(&issued.hook.id.to_string()), "{rows}");
}
