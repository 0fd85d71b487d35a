//! The deliveries of a webhook: listed, read, and asked for again.

use std::collections::HashMap;

use sequent_core::{DeliveryId, TenantId, Timestamp, WebhookId};
use sequent_tables::{
    CursorKey, InvalidCursor, Item, Key, Page, PageRequest, Retry, Transaction, Update, Write, attribute,
    decode,
    key::{self, DeliveryList},
};

use crate::{
    DeliveryStatus, Error, WebhookDelivery, WebhookDeliveryDetails, Webhooks,
    delivery::{KEPT, StoredDelivery},
    tell::queueing,
};

/// A page of the deliveries of a webhook.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "plain data")]
pub struct DeliveryQuery<'a> {
    /// All of them if absent.
    pub status: Option<DeliveryStatus>,
    pub cursor: Option<&'a str>,
    pub limit: Option<u32>,
}

impl Webhooks {
    /// Reads a page of the deliveries of a webhook, newest first; pending ones by the time of their next attempt. A page of
    /// those that were delivered may have fewer items than asked for.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Cursor`], or if the table fails.
    pub async fn deliveries(
        &self,
        tenant: TenantId,
        webhook: WebhookId,
        query: DeliveryQuery<'_>,
        cursors: &CursorKey,
    ) -> Result<Page<WebhookDelivery>, Error> {
        self.stored(tenant, webhook).await?;
        let page = self.store.page_items(&request(tenant, webhook, query, cursors)?).await?;
        let read = page.items.len();
        let own: Vec<Item> =
            page.items.iter().filter(|item| delivery_of(item, webhook).is_some()).cloned().collect();
        let is_last = own.len() < read;
        let deliveries = match query.status {
            Some(DeliveryStatus::Failed | DeliveryStatus::Pending) => {
                self.listed(tenant, webhook, &own).await?
            }
            status => {
                let all: Vec<StoredDelivery> = own.into_iter().map(decode).collect::<Result<_, _>>()?;
                let is_wanted =
                    |delivery: &WebhookDelivery| status.is_none_or(|status| status == delivery.status);
                all.into_iter().map(|stored| stored.delivery).filter(is_wanted).collect()
            }
        };
        let page = page.with_items(deliveries);
        Ok(if is_last { page.at_end() } else { page })
    }

    /// Reads the deliveries of the entries of a list, in its order.
    async fn listed(
        &self,
        tenant: TenantId,
        webhook: WebhookId,
        entries: &[Item],
    ) -> Result<Vec<WebhookDelivery>, Error> {
        let ids: Vec<DeliveryId> = entries.iter().filter_map(|entry| delivery_of(entry, webhook)).collect();
        let keys: Vec<Key> = ids.iter().map(|id| key::webhook_delivery(tenant, webhook, *id)).collect();
        let rows: Vec<StoredDelivery> = self.store.get_many(&keys).await?;
        let mut rows: HashMap<DeliveryId, WebhookDelivery> =
            rows.into_iter().map(|row| (row.delivery.id, row.delivery)).collect();
        Ok(ids.iter().filter_map(|id| rows.remove(id)).collect())
    }

    /// Reads a delivery with its payload.
    ///
    /// # Errors
    /// [`Error::DeliveryNotFound`], or if the table fails.
    pub async fn delivery(
        &self,
        tenant: TenantId,
        webhook: WebhookId,
        id: DeliveryId,
    ) -> Result<WebhookDeliveryDetails, Error> {
        Ok(self.stored_delivery(tenant, webhook, id).await?.details())
    }

    /// Sends a delivery that has ended again, with the same id and payload, and with all its attempts ahead.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::DeliveryNotFound`], [`Error::Pending`], [`Error::Disabled`], or if the table fails.
    pub async fn redeliver(
        &self,
        tenant: TenantId,
        webhook: WebhookId,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<WebhookDelivery, Error> {
        let mut tries = Retry::CONTENDED.tries();
        loop {
            let stored = self.stored(tenant, webhook).await?;
            let delivery = self.stored_delivery(tenant, webhook, id).await?;
            if delivery.delivery.status == DeliveryStatus::Pending {
                return Err(Error::Pending);
            }
            if !stored.webhook.enabled {
                return Err(Error::Disabled);
            }
            let (update, job) = queueing(tenant, &stored, 1, now);
            let again = Update::of(&key::webhook_delivery(tenant, webhook, id))
                .set("status", DeliveryStatus::Pending)
                .set("failures", 0)
                .set("next_attempt_at", now)
                .expires_at(now + KEPT)
                .when(attribute("status").equals(delivery.delivery.status));
            let transaction = Transaction::new()
                .write(update)
                .write(again)
                .write(Write::delete(&key::webhook_failure(tenant, webhook, id)))
                .write(Write::put(delivery.queue_entry(tenant, now)?));
            let transaction = job.into_iter().map(Write::insert).fold(transaction, Transaction::write);
            match self.store.commit_within(transaction, &mut tries).await {
                Ok(()) => {
                    let delivery = delivery.delivery;
                    let status = DeliveryStatus::Pending;
                    return Ok(WebhookDelivery { status, next_attempt_at: Some(now), ..delivery });
                }
                Err(cancelled) if cancelled.any_refused() && tries.pause().await => {}
                Err(cancelled) => return Err(cancelled.into()),
            }
        }
    }

    async fn stored_delivery(
        &self,
        tenant: TenantId,
        webhook: WebhookId,
        id: DeliveryId,
    ) -> Result<StoredDelivery, Error> {
        let row = key::webhook_delivery(tenant, webhook, id);
        self.store.get(&row).await?.ok_or(Error::DeliveryNotFound)
    }
}

/// The request for a page. The partition has the deliveries of all webhooks, so a cursor must be one of this webhook's.
fn request(
    tenant: TenantId,
    webhook: WebhookId,
    query: DeliveryQuery<'_>,
    cursors: &CursorKey,
) -> Result<PageRequest, InvalidCursor> {
    let list = match query.status {
        Some(DeliveryStatus::Failed) => DeliveryList::Failed,
        Some(DeliveryStatus::Pending) => DeliveryList::Queued,
        Some(DeliveryStatus::Delivered) | None => DeliveryList::All,
    };
    let request = PageRequest::new(list.of(tenant)).limit(query.limit);
    let request = if list == DeliveryList::Queued { request.oldest_first() } else { request };
    if query.cursor.is_none() {
        return Ok(match list {
            DeliveryList::Queued => request.after(key::before_deliveries(webhook)),
            DeliveryList::All | DeliveryList::Failed => request.after(key::after_deliveries(webhook)),
        });
    }
    let request = request.cursor(cursors, query.cursor)?;
    let is_own = request.position().and_then(key::parse_delivery).is_some_and(|(of, _)| of == webhook);
    if is_own { Ok(request) } else { Err(InvalidCursor) }
}

/// Returns the delivery of an entry of a list, or `None` if it is one of another webhook.
fn delivery_of(item: &Item, webhook: WebhookId) -> Option<DeliveryId> {
    let (of, delivery) = key::parse_delivery(Key::of_item(item)?.sk())?;
    (of == webhook).then_some(delivery)
}
