//! Keys of webhooks, of the deliveries of events to them, and of hooks.

use std::fmt::Display;

use sequent_core::{DeliveryId, EventId, HookId, TenantId, Timestamp, WebhookId};

use super::{Key, Partition};

/// A webhook of a tenant, by its id.
#[must_use]
pub fn webhook(tenant: TenantId, webhook: WebhookId) -> Key {
    Key::new(format!("{tenant}#webhooks"), webhook)
}

/// The number of a tenant's webhooks.
#[must_use]
pub fn webhook_settings(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#settings"), "webhooks")
}

/// All webhooks of a tenant.
#[must_use]
pub fn webhooks(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#webhooks"))
}

/// A list of deliveries. The deliveries of all webhooks of a tenant are in one partition, so that they can be deleted
/// together; those of one webhook follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryList {
    /// All deliveries, by the time of their events.
    All,
    /// Those that have failed for good, in the same order.
    Failed,
    /// Those that have not ended, by the time of their next attempt.
    Queued,
}

impl DeliveryList {
    fn pk(self, tenant: TenantId) -> String {
        match self {
            Self::All => format!("{tenant}#webhook-deliveries"),
            Self::Failed => format!("{tenant}#webhook-failures"),
            Self::Queued => format!("{tenant}#webhook-queue"),
        }
    }

    /// The list of all webhooks of a tenant.
    #[must_use]
    pub fn of(self, tenant: TenantId) -> Partition {
        Partition::table(self.pk(tenant))
    }

    fn key(self, tenant: TenantId, webhook: WebhookId, entry: impl Display) -> Key {
        Key::new(self.pk(tenant), format!("{webhook}#{entry}"))
    }
}

/// A delivery of an event to a webhook.
#[must_use]
pub fn webhook_delivery(tenant: TenantId, webhook: WebhookId, delivery: DeliveryId) -> Key {
    DeliveryList::All.key(tenant, webhook, delivery)
}

/// The entry of a delivery that has failed for good.
#[must_use]
pub fn webhook_failure(tenant: TenantId, webhook: WebhookId, delivery: DeliveryId) -> Key {
    DeliveryList::Failed.key(tenant, webhook, delivery)
}

/// The entry of a delivery whose next attempt is due at `due`.
#[must_use]
pub fn queued_delivery(tenant: TenantId, webhook: WebhookId, due: Timestamp, delivery: DeliveryId) -> Key {
    DeliveryList::Queued.key(tenant, webhook, format!("{:015}#{delivery}", due.millis()))
}

/// Returns the webhook and the delivery of a key in any of the lists.
#[must_use]
pub fn parse_delivery(sort_key: &str) -> Option<(WebhookId, DeliveryId)> {
    let (webhook, entry) = sort_key.split_once('#')?;
    let delivery = entry.rsplit_once('#').map_or(entry, |(_, delivery)| delivery);
    Some((webhook.parse().ok()?, delivery.parse().ok()?))
}

/// Returns the tenant, the webhook and the time of the next attempt of the key of a queued delivery. Returns `None` if it is
/// another key.
#[must_use]
pub fn parse_queued_delivery(key: &Key) -> Option<(TenantId, WebhookId, Timestamp)> {
    let tenant = key.pk.strip_suffix("#webhook-queue")?.parse().ok()?;
    let (webhook, _) = parse_delivery(&key.sk)?;
    Some((tenant, webhook, parse_due(&key.sk)?))
}

/// Returns the time of the next attempt of a queued delivery.
#[must_use]
pub fn parse_due(sort_key: &str) -> Option<Timestamp> {
    let mut parts = sort_key.split('#').skip(1);
    Some(Timestamp::from_millis(parts.next()?.parse().ok()?))
}

/// The position before the entries of a webhook in any of the lists.
#[must_use]
pub fn before_deliveries(webhook: WebhookId) -> String {
    format!("{webhook}#")
}

/// The position after the entries of a webhook in any of the lists.
#[must_use]
pub fn after_deliveries(webhook: WebhookId) -> String {
    // `~` follows all characters of ids.
    format!("{webhook}#~")
}

/// The leases of the jobs that deliver for webhooks, of all tenants. The row belongs to the deployment.
#[must_use]
pub fn delivery_leases() -> Key {
    Key::new(format!("{}#delivery-leases", TenantId::SYSTEM), "leases")
}

/// An event that no other row shows.
#[must_use]
pub fn webhook_event(tenant: TenantId, event: EventId) -> Key {
    Key::new(format!("{tenant}#webhook-events"), event)
}

/// Returns the tenant of a key of such an event, or `None` if it is another key.
#[must_use]
pub fn parse_webhook_event(key: &Key) -> Option<TenantId> {
    key.pk.strip_suffix("#webhook-events")?.parse().ok()
}

/// A hook of a tenant, by its id.
#[must_use]
pub fn hook(tenant: TenantId, hook: HookId) -> Key {
    Key::new(format!("{tenant}#hooks"), hook)
}

/// All hooks of a tenant.
#[must_use]
pub fn hooks(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#hooks"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_leads_to_its_delivery_and_lies_between_the_bounds_of_its_webhook() {
        let [tenant, other] = [TenantId::new(), TenantId::new()];
        let webhook = WebhookId::new();
        let delivery = DeliveryId::new();
        let due = Timestamp::from_millis(1_700_000_000_123);
        for entry in [
            webhook_delivery(tenant, webhook, delivery),
            webhook_failure(tenant, webhook, delivery),
            queued_delivery(tenant, webhook, due, delivery),
        ] {
            assert_eq!(parse_delivery(entry.sk()), Some((webhook, delivery)));
            assert!(before_deliveries(webhook).as_str() < entry.sk());
            assert!(after_deliveries(webhook).as_str() > entry.sk());
        }
        assert_eq!(parse_due(queued_delivery(tenant, webhook, due, delivery).sk()), Some(due));
        let queued = queued_delivery(tenant, webhook, due, delivery);
        assert_eq!(parse_queued_delivery(&queued), Some((tenant, webhook, due)));
        assert_eq!(parse_queued_delivery(&webhook_failure(tenant, webhook, delivery)), None);
        assert_eq!(parse_delivery("whk_1#dlv_1"), None);
        let event = webhook_event(other, EventId::new());
        assert_eq!(parse_webhook_event(&event), Some(other));
        assert_eq!(parse_webhook_event(&self::webhook(tenant, webhook)), None);
    }
}
