//! Tables, webhooks and a clock that jumps to the next attempt.

use std::{collections::BTreeSet, io, net::IpAddr, time::Duration};

use futures::future::{BoxFuture, FutureExt as _};
use sequent_core::{TenantId, Timestamp, UserId, WebhookId};
use sequent_identity::Vault;
use sequent_tables::{
    CursorKey, Store,
    key::{self, DeliveryList},
    testing,
};
use sequent_tool::{
    Guard,
    guard::{Allow, Resolve},
};
use serde_json::json;

use super::receiver::Receiver;
use crate::{
    DeliverWebhook, DeliveryQuery, DeliveryStatus, EventType, NewWebhook, Webhook, WebhookClient,
    WebhookDelivery, WebhookEvent, Webhooks,
    signature::SigningSecret,
    tell,
    turn::{Turn, TurnStep},
    webhook::StoredWebhook,
};

/// The start of simulated time.
pub(super) const START: Timestamp = Timestamp::from_millis(1_764_547_200_000);
const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);

/// A name server that has moved every name to loopback since its addresses were checked.
struct Rebinding;

impl Resolve for Rebinding {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) }.boxed()
    }
}

pub(super) struct Bench {
    pub(super) store: Store,
    pub(super) tenant: TenantId,
    pub(super) webhooks: Webhooks,
    pub(super) receiver: Receiver,
    /// A server on an address that the guard does not allow.
    pub(super) private: Receiver,
    pub(super) deliverer: DeliverWebhook,
    pub(super) cursors: CursorKey,
}

impl Bench {
    pub(super) async fn new() -> Self {
        // Longer than any answer takes on a busy machine.
        Self::with_timeout(Duration::from_secs(60)).await
    }

    /// A deployment whose attempts take this time at most.
    pub(super) async fn with_timeout(timeout: Duration) -> Self {
        let store = testing::store().await;
        let vault = Vault::fixed(&r#"{"seed": "a seed for tests"}"#.into()).unwrap();
        let receiver = Receiver::start().await;
        let private = Receiver::start().await;
        receiver.redirect_to(private.url("/ok"));
        let allow = Allow::parse_list(&receiver.address().to_string()).unwrap();
        let guard = Guard::with_ports(vec![443, private.address().port()], allow, Rebinding);
        let client = WebhookClient::new(guard.clone()).with_timeout(timeout);
        Self {
            webhooks: Webhooks::new(store.clone(), vault.clone(), guard),
            deliverer: DeliverWebhook::new(client, vault),
            store,
            tenant: TenantId::new(),
            receiver,
            private,
            cursors: CursorKey::new("a key of cursors".into()),
        }
    }

    /// Another tenant of the same deployment.
    pub(super) fn for_tenant(&self, tenant: TenantId) -> Self {
        Self {
            store: self.store.clone(),
            tenant,
            webhooks: self.webhooks.clone(),
            receiver: self.receiver.clone(),
            private: self.private.clone(),
            deliverer: self.deliverer.clone(),
            cursors: self.cursors.clone(),
        }
    }

    /// Creates a webhook that wants `run.finished` and `run.failed`.
    pub(super) async fn webhook(&self, url: &str) -> (Webhook, SigningSecret) {
        let new = NewWebhook {
            url: url.to_owned(),
            description: None,
            events: BTreeSet::from([EventType::RunFinished, EventType::RunFailed]),
            enabled: true,
        };
        self.webhooks.create(self.tenant, UserId::new(), new, START).await.unwrap()
    }

    /// Tells `run.finished` for runs with these numbers.
    pub(super) async fn finish(&self, runs: std::ops::Range<usize>, now: Timestamp) -> usize {
        let events: Vec<WebhookEvent> = runs.map(|run| finished(run, START)).collect();
        let mut told = tell(&self.store, self.tenant, &events, now).await;
        // The stream delivers a batch again that could not be told on a busy machine.
        while matches!(&told, Err(crate::Error::Data(_))) {
            told = tell(&self.store, self.tenant, &events, now).await;
        }
        told.unwrap()
    }

    pub(super) async fn stored(&self, webhook: WebhookId) -> StoredWebhook {
        self.store.get(&key::webhook(self.tenant, webhook)).await.unwrap().unwrap()
    }

    /// The turn of the job that has it.
    pub(super) fn turn(&self, webhook: &StoredWebhook) -> Option<(Turn<'_>, Timestamp)> {
        let turn = webhook.turn?;
        let at = Timestamp::from_millis(turn.at);
        let turn = Turn {
            deliverer: &self.deliverer,
            store: &self.store,
            tenant: self.tenant,
            id: webhook.webhook.id,
            job: turn.job,
        };
        Some((turn, at))
    }

    /// Does the work of the job that has the turn at `now`, if it has begun. Returns the time of the next one.
    pub(super) async fn work(&self, webhook: WebhookId, now: Timestamp) -> Option<Timestamp> {
        let stored = self.stored(webhook).await;
        let (turn, at) = self.turn(&stored)?;
        if at > now {
            return Some(at);
        }
        loop {
            match turn.step(now, NEVER).await {
                Ok(TurnStep::Next | TurnStep::Slow) => {}
                Ok(TurnStep::Ended(_)) => break,
                // On a busy machine the table may not answer in time. The job is attempted again.
                Err(error) => assert!(matches!(error, crate::Error::Data(_)), "{error}"),
            }
        }
        self.stored(webhook).await.turn.map(|turn| Timestamp::from_millis(turn.at))
    }

    /// Works until no job has the turn. Time jumps to the begin of the next job. Returns the time.
    pub(super) async fn work_until_quiet(&self, webhook: WebhookId, now: Timestamp) -> Timestamp {
        self.work_in_leaps(webhook, now, Duration::ZERO).await
    }

    /// As [`work_until_quiet`](Self::work_until_quiet). Time goes on by `leap` beyond the begin of each job, so that more is due.
    pub(super) async fn work_in_leaps(
        &self,
        webhook: WebhookId,
        mut now: Timestamp,
        leap: Duration,
    ) -> Timestamp {
        while let Some(next) = self.work(webhook, now).await {
            now = now.max(next + leap);
        }
        now
    }

    /// All deliveries of a webhook with a status, through pages.
    pub(super) async fn deliveries(
        &self,
        webhook: WebhookId,
        status: Option<DeliveryStatus>,
    ) -> Vec<WebhookDelivery> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let query = DeliveryQuery { status, cursor: cursor.as_deref(), limit: Some(100) };
            let page = self.webhooks.deliveries(self.tenant, webhook, query, &self.cursors).await.unwrap();
            cursor = page.next_cursor(&self.cursors);
            all.extend(page.items);
            if cursor.is_none() {
                return all;
            }
        }
    }

    pub(super) async fn queued(&self) -> usize {
        let rows: Vec<serde_json::Value> =
            self.store.every(DeliveryList::Queued.of(self.tenant)).await.unwrap();
        rows.len()
    }
}

pub(super) fn finished(run: usize, at: Timestamp) -> WebhookEvent {
    WebhookEvent::new(EventType::RunFinished, at, format!("run {run}"), json!({ "run": run }))
}
