//! The webhooks of each tenant: created, read, changed, deleted, tested, and given other secrets.

use sequent_core::{TenantId, Timestamp, UserId, WebhookId};
use sequent_identity::Vault;
use sequent_tables::{
    Error as TableError, Label, Retry, Row, Store, Transaction, Update, Write, attribute, exists, key,
};
use sequent_tool::Guard;
use serde_json::json;

use crate::{
    API_VERSION, Error, EventType, NewWebhook, ROTATION, Webhook, WebhookChange, WebhookDelivery,
    WebhookEvent,
    signature::SigningSecret,
    tell::{Telling, delivery_job},
    webhook::{StoredWebhook, purpose, seal},
};

/// The number of a tenant's webhooks, in its row of settings.
const COUNT: &str = "webhooks";

const ROOM: Label = Label::new("room");

/// The webhooks of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    pub(crate) store: Store,
    vault: Vault,
    guard: Guard,
}

impl Webhooks {
    /// Webhooks of a tenant at most.
    pub const MAX: u32 = 10;

    /// The webhooks in `store`. Secrets are sealed with the key in `vault`; `guard` limits addresses.
    #[must_use]
    pub fn new(store: Store, vault: Vault, guard: Guard) -> Self {
        Self { store, vault, guard }
    }

    /// Creates a webhook. Returns it with its secret, which is not shown again.
    ///
    /// # Errors
    /// [`Error::TooMany`], [`Error::Address`], [`Error::Insecure`], or when the table or the secret fails.
    pub async fn create(
        &self,
        tenant: TenantId,
        user: UserId,
        new: NewWebhook,
        now: Timestamp,
    ) -> Result<(Webhook, SigningSecret), Error> {
        let url = self.admitted(&new.url)?;
        let secret = SigningSecret::generate()?;
        let id = WebhookId::new();
        let webhook = Webhook {
            id,
            url,
            description: new.description,
            events: new.events,
            api_version: API_VERSION.to_owned(),
            enabled: new.enabled,
            disabled: None,
            failing_since: None,
            previous_secret_until: None,
            user_id: user,
            created_at: now,
            updated_at: now,
        };
        let stored = StoredWebhook {
            sealed_secret: seal(&self.vault, &secret, &purpose(tenant, id)).await?,
            webhook,
            sealed_previous: None,
            seq: 0,
            queued: 0,
            turn: None,
        };
        let has_room = attribute(COUNT).is_none().or(attribute(COUNT).is_below(Self::MAX));
        let count = Update::of(&key::webhook_settings(tenant)).add(COUNT, 1).when(has_room);
        let row = Row::new(&key::webhook(tenant, id), &stored)?;
        let transaction = Transaction::new().write(Write::insert(row)).write(count).label(ROOM);
        match self.store.commit(transaction, Retry::CONTENDED).await {
            Ok(()) => Ok((stored.webhook, secret)),
            Err(cancelled) if cancelled.refused(ROOM) => Err(Error::TooMany),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Lists the webhooks of a tenant, oldest first.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn list(&self, tenant: TenantId) -> Result<Vec<Webhook>, Error> {
        let stored: Vec<StoredWebhook> = self.store.every(key::webhooks(tenant)).await?;
        Ok(stored.into_iter().map(|stored| stored.webhook).collect())
    }

    /// Reads a webhook.
    ///
    /// # Errors
    /// [`Error::NotFound`], or if the table fails.
    pub async fn get(&self, tenant: TenantId, id: WebhookId) -> Result<Webhook, Error> {
        Ok(self.stored(tenant, id).await?.webhook)
    }

    /// Changes a webhook. One that is enabled again begins as if nothing had failed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Address`], [`Error::Insecure`], or if the table fails.
    pub async fn change(
        &self,
        tenant: TenantId,
        id: WebhookId,
        change: WebhookChange,
        now: Timestamp,
    ) -> Result<Webhook, Error> {
        let WebhookChange { url, description, events, enabled } = change;
        let mut update = Update::of(&key::webhook(tenant, id)).set("updated_at", now).when(exists());
        if let Some(url) = url {
            update = update.set("url", self.admitted(&url)?);
        }
        if let Some(description) = description {
            update = update.set("description", description);
        }
        if let Some(events) = events {
            update = update.set("events", events);
        }
        if let Some(enabled) = enabled {
            update =
                update.set("enabled", enabled).set("disabled", None::<()>).set("failing_since", None::<()>);
        }
        let changed: Option<StoredWebhook> = self.store.update_if(update).await?;
        changed.map(|stored| stored.webhook).ok_or(Error::NotFound)
    }

    /// Deletes a webhook. A job deletes its deliveries.
    ///
    /// # Errors
    /// [`Error::NotFound`], or if the table fails.
    pub async fn delete(&self, tenant: TenantId, id: WebhookId, now: Timestamp) -> Result<(), Error> {
        let stored = self.stored(tenant, id).await?;
        let deletion = Write::delete(&key::webhook(tenant, id)).when(exists());
        let count = Update::of(&key::webhook_settings(tenant)).add(COUNT, -1).when(exists());
        let rows = delivery_job(tenant, &stored).rows(now).into_iter().map(Write::insert);
        let transaction = rows.fold(Transaction::new().write(deletion).write(count), Transaction::write);
        match self.store.commit(transaction, Retry::CONTENDED).await {
            Err(cancelled) if cancelled.any_refused() => Err(Error::NotFound),
            deleted => Ok(deleted?),
        }
    }

    /// Gives a webhook another secret, which is not shown again. The present one also signs for [`ROTATION`].
    ///
    /// # Errors
    /// [`Error::NotFound`], or when the table or the secret fails.
    pub async fn rotate(
        &self,
        tenant: TenantId,
        id: WebhookId,
        now: Timestamp,
    ) -> Result<(Webhook, SigningSecret), Error> {
        let stored = self.stored(tenant, id).await?;
        let secret = SigningSecret::generate()?;
        let update = Update::of(&key::webhook(tenant, id))
            .set("sealed_secret", seal(&self.vault, &secret, &purpose(tenant, id)).await?)
            .set("sealed_previous", &stored.sealed_secret)
            .set("previous_secret_until", now + ROTATION)
            .set("updated_at", now)
            .when(attribute("sealed_secret").equals(&stored.sealed_secret));
        match self.store.update_if::<StoredWebhook>(update).await? {
            Some(rotated) => Ok((rotated.webhook, secret)),
            // Another rotation was first, or the webhook was deleted.
            None => Err(TableError::Conflict(None).into()),
        }
    }

    /// Sends an event of the type `webhook.test` to the webhook, whatever events it wants.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Disabled`], or if the table fails.
    pub async fn test(
        &self,
        tenant: TenantId,
        id: WebhookId,
        now: Timestamp,
    ) -> Result<WebhookDelivery, Error> {
        let stored = self.stored(tenant, id).await?;
        let cause = format!("{id} {:032x}", fastrand::u128(..));
        let event = WebhookEvent::new(EventType::Test, now, cause, json!({ "webhook_id": id }));
        let telling = Telling { store: &self.store, tenant, now };
        let added = Box::pin(telling.add(stored, vec![&event])).await?;
        added.into_iter().next().map(|stored| stored.delivery).ok_or(Error::Disabled)
    }

    pub(crate) async fn stored(&self, tenant: TenantId, id: WebhookId) -> Result<StoredWebhook, Error> {
        self.store.get(&key::webhook(tenant, id)).await?.ok_or(Error::NotFound)
    }

    /// Returns the normalized address if it may be used. Events are signed but not encrypted, so they are sent over TLS only.
    fn admitted(&self, url: &str) -> Result<String, Error> {
        let admitted = self.guard.admit(url)?;
        if admitted.keeps_secrets() { Ok(admitted.url().to_string()) } else { Err(Error::Insecure) }
    }
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhooks").finish_non_exhaustive()
    }
}
