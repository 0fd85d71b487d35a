//! Deliveries that no job sends.

use sequent_audit::FindingKind;
use sequent_core::{Timestamp, UserId, WebhookId};
use sequent_identity::Vault;
use sequent_tables::{Update, key};
use sequent_tool::Guard;
use sequent_webhooks::{EventType, NewWebhook, Webhooks};

use crate::bench::{Bench, HOUR, MINUTE};

/// A webhook with a delivery that is due.
async fn told(bench: &Bench) -> (Webhooks, WebhookId) {
    let vault = Vault::fixed(&r#"{"seed": "a seed for tests"}"#.into()).unwrap();
    let webhooks = Webhooks::new(bench.store().clone(), vault, Guard::default());
    let new = NewWebhook {
        url: "https://example.com/".to_owned(),
        description: None,
        events: [EventType::RunFinished].into(),
        enabled: true,
    };
    let created = webhooks.create(bench.tenant, UserId::new(), new, Timestamp::now()).await;
    let id = created.unwrap().0.id;
    webhooks.test(bench.tenant, id, Timestamp::now()).await.unwrap();
    (webhooks, id)
}

#[tokio::test]
async fn a_delivery_is_found_if_no_job_has_the_turn_and_a_test_repairs_it() {
    let bench = Bench::new().await;
    let (webhooks, id) = told(&bench).await;
    assert_eq!(bench.found(MINUTE).await, []);
    let row = key::webhook(bench.tenant, id);
    bench.update(Update::of(&row).set("turn", None::<()>)).await;
    assert_eq!(bench.found(4 * MINUTE).await, [], "a job may still come");
    let found = bench.found(2 * HOUR).await;
    assert!(found.contains(&FindingKind::DeliveryWithoutJob), "{found:?}");
    webhooks.test(bench.tenant, id, Timestamp::now()).await.unwrap();
    let found = bench.found(2 * HOUR).await;
    assert!(!found.contains(&FindingKind::DeliveryWithoutJob), "{found:?}");
}

#[tokio::test]
async fn a_delivery_is_found_if_its_job_or_its_webhook_does_not_exist() {
    let bench = Bench::new().await;
    let (_, id) = told(&bench).await;
    let row = bench.store().get_item(&key::webhook(bench.tenant, id)).await.unwrap().unwrap();
    let job = sequent_webhooks::delivering_job(row).unwrap().unwrap();
    bench.store().delete(&key::job(bench.tenant, job)).await.unwrap();
    assert_eq!(bench.found(2 * HOUR).await, [FindingKind::DeliveryWithoutJob]);
    bench.store().delete(&key::webhook(bench.tenant, id)).await.unwrap();
    assert_eq!(bench.found(2 * HOUR).await, [FindingKind::DeliveryWithoutJob]);
}
