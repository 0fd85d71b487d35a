//! Webhooks are created, changed and deleted, and show no secret.

use std::collections::BTreeSet;

use sequent_core::{ExposeSecret as _, TenantId, Timestamp, UserId, WebhookId};
use sequent_tables::{key, testing};

use super::bench::{Bench, START};
use crate::{DeliveryQuery, DeliveryStatus, Error, EventType, NewWebhook, Webhooks};

fn to(url: &str) -> NewWebhook {
    NewWebhook {
        url: url.to_owned(),
        description: None,
        events: BTreeSet::from([EventType::RunFailed]),
        enabled: true,
    }
}

#[tokio::test]
async fn private_addresses_and_clear_text_are_refused() {
    let bench = Bench::new().await;
    let create = async |url: &str| bench.webhooks.create(bench.tenant, UserId::new(), to(url), START).await;
    for url in [
        "https://10.0.0.1/",
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "https://localhost/",
        "https://metadata.internal/",
        "https://user:password@example.com/",
        "https://example.com:22/",
        "ftp://example.com/",
        "not an address",
        &bench.private.url("/"),
    ] {
        let refused = create(url).await.map(drop);
        assert!(matches!(refused, Err(Error::Address(_))), "{url}: {refused:?}");
    }
    assert!(matches!(create("http://example.com/").await, Err(Error::Address(_) | Error::Insecure)));
    create("https://example.com/hooks?key=1").await.unwrap();
}

#[tokio::test]
async fn the_secret_is_stored_sealed_only() {
    let bench = Bench::new().await;
    let (webhook, secret) = bench.webhook(&bench.receiver.url("/ok")).await;
    let text = secret.text();
    let bare = text.expose_secret().trim_start_matches("whsec_");
    for row in testing::all_rows(&bench.store).await {
        assert!(!format!("{row:?}").contains(bare));
    }
    let shown = serde_json::to_string(&webhook).unwrap();
    assert!(!shown.contains("secret\"") && !shown.contains("sealed"), "{shown}");
}

#[tokio::test]
async fn a_tenant_has_ten_webhooks_at_most_and_sees_no_other() {
    let bench = Bench::new().await;
    let mut last = None;
    for _ in 1..Webhooks::MAX {
        last = Some(bench.webhook("https://example.com/").await.0);
    }
    // Two requests for the last place at once: one has it.
    let create = || bench.webhooks.create(bench.tenant, UserId::new(), to("https://example.com/"), START);
    let both = futures::future::join(create(), create()).await;
    assert_eq!([both.0.is_ok(), both.1.is_ok()].iter().filter(|is_created| **is_created).count(), 1);
    let refused = bench.webhooks.create(bench.tenant, UserId::new(), to("https://example.com/"), START).await;
    assert!(matches!(refused, Err(Error::TooMany)));
    assert_eq!(bench.webhooks.list(bench.tenant).await.unwrap().len(), Webhooks::MAX as usize);
    let other = TenantId::new();
    assert!(bench.webhooks.list(other).await.unwrap().is_empty());
    let foreign = bench.webhooks.get(other, last.unwrap().id).await;
    assert!(matches!(foreign, Err(Error::NotFound)), "{foreign:?}");
}

#[tokio::test]
async fn the_deliveries_of_a_webhook_are_paged_apart_from_those_of_others() {
    let bench = Bench::new().await;
    let (first, _) = bench.webhook(&bench.receiver.url("/ok")).await;
    let (second, _) = bench.webhook(&bench.receiver.url("/fails")).await;
    bench.finish(0..5, START).await;
    bench.work(first.id, START).await;
    for (webhook, status, expected) in [
        (first.id, None, 5),
        (second.id, None, 5),
        (first.id, Some(DeliveryStatus::Delivered), 5),
        (first.id, Some(DeliveryStatus::Pending), 0),
        (second.id, Some(DeliveryStatus::Pending), 5),
        (second.id, Some(DeliveryStatus::Failed), 0),
    ] {
        let mut cursor = None;
        let mut seen = BTreeSet::new();
        loop {
            let query = DeliveryQuery { status, cursor: cursor.as_deref(), limit: Some(2) };
            let page = bench.webhooks.deliveries(bench.tenant, webhook, query, &bench.cursors).await.unwrap();
            seen.extend(page.items.iter().map(|delivery| (delivery.webhook_id, delivery.id)));
            let Some(next) = page.next_cursor(&bench.cursors) else { break };
            cursor = Some(next);
        }
        assert_eq!(seen.len(), expected, "{status:?}");
        assert!(seen.iter().all(|(of, _)| *of == webhook));
    }
    let query = DeliveryQuery { limit: Some(2), ..DeliveryQuery::default() };
    let page = bench.webhooks.deliveries(bench.tenant, first.id, query, &bench.cursors).await.unwrap();
    let cursor = page.next_cursor(&bench.cursors);
    let query = DeliveryQuery { cursor: cursor.as_deref(), ..query };
    let stolen = bench.webhooks.deliveries(bench.tenant, second.id, query, &bench.cursors).await;
    assert!(matches!(stolen, Err(Error::Cursor(_))), "a cursor belongs to one webhook");
}

#[tokio::test]
async fn the_deletion_of_a_webhook_leaves_nothing_of_its_deliveries() {
    let bench = Bench::new().await;
    let (webhook, _) = bench.webhook(&bench.receiver.url("/fails")).await;
    let (kept, _) = bench.webhook(&bench.receiver.url("/ok")).await;
    bench.finish(0..3, START).await;
    bench.work(webhook.id, START).await;
    let stored = bench.stored(webhook.id).await;
    bench.webhooks.delete(bench.tenant, webhook.id, START).await.unwrap();
    let (turn, _) = bench.turn(&stored).unwrap();
    assert!(matches!(turn.step(START, Timestamp::now()).await.unwrap(), crate::turn::TurnStep::Ended(_)));
    let rows = testing::all_rows(&bench.store).await;
    let keys = rows.iter().filter_map(sequent_tables::Key::of_item);
    let left: Vec<String> =
        keys.filter(|key| !key.pk().ends_with("#jobs")).map(|key| key.sk().to_owned()).collect();
    assert!(left.iter().all(|sk| !sk.starts_with(&webhook.id.to_string())), "{left:?}");
    assert!(left.iter().any(|sk| sk.starts_with(&kept.id.to_string())), "{left:?}");
    let again = bench.webhooks.delete(bench.tenant, webhook.id, START).await;
    assert!(matches!(again, Err(Error::NotFound)), "{again:?}");
    let unknown: Option<crate::webhook::StoredWebhook> =
        bench.store.get(&key::webhook(bench.tenant, WebhookId::new())).await.unwrap();
    assert_eq!(unknown, None);
}
