//! Telling the events of a batch to the webhooks of their tenants.
//!
//! No record waits for a webhook. Events that cannot be told now become messages of the queue of jobs, whose workers tell them
//! later. Events that can never be told become dead letters.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, stream};
use sequent_aws::queue::Message;
use sequent_core::{TenantId, Timestamp};
use sequent_tables::Store;
use sequent_webhooks::{Error, UntoldEvents, WebhookEvent, tell};

use crate::Outgoing;

/// Tenants whose webhooks are told at the same time.
const CONCURRENCY: usize = 8;
/// Time until a worker tries to tell what could not be told: the table may be throttled for a while.
const LATER: Duration = Duration::from_secs(60);

/// The events of a batch, by tenant, so that the webhooks of each are read once.
#[derive(Default)]
pub(crate) struct Events(BTreeMap<TenantId, TenantEvents>);

#[derive(Default)]
struct TenantEvents {
    /// The index of the record of each event.
    origins: Vec<usize>,
    events: Vec<WebhookEvent>,
}

/// The result of telling.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) deliveries: usize,
    /// Messages with the events that could not be told.
    pub(crate) later: Outgoing,
    /// The records whose events can never be told, with the reasons.
    pub(crate) never: Vec<(usize, String)>,
}

impl Events {
    /// Adds the event of the record with the index `origin`.
    pub(crate) fn add(&mut self, origin: usize, tenant: TenantId, event: WebhookEvent) {
        let of_tenant = self.0.entry(tenant).or_default();
        of_tenant.origins.push(origin);
        of_tenant.events.push(event);
    }

    /// Tells all events of the batch.
    pub(crate) async fn tell(&self, store: &Store, now: Timestamp) -> Told {
        let telling = self
            .0
            .iter()
            .map(|(tenant, of_tenant)| async move { Box::pin(of_tenant.tell(store, *tenant, now)).await });
        let mut telling = Box::pin(stream::iter(telling).buffer_unordered(CONCURRENCY));
        let mut all = Told::default();
        while let Some(told) = telling.next().await {
            all.deliveries += told.deliveries;
            all.later.extend(told.later);
            all.never.extend(told.never);
        }
        all
    }
}

impl TenantEvents {
    async fn tell(&self, store: &Store, tenant: TenantId, now: Timestamp) -> Told {
        let mut told = Told::default();
        match tell(store, tenant, &self.events, now).await {
            Ok(deliveries) => told.deliveries = deliveries,
            // Of events that are refused together, others can be told without the one that is to blame.
            Err(error) if is_lasting(&error) => {
                for (origin, event) in self.origins.iter().zip(&self.events) {
                    match Box::pin(tell(store, tenant, std::slice::from_ref(event), now)).await {
                        Ok(deliveries) => told.deliveries += deliveries,
                        Err(error) if is_lasting(&error) => {
                            tracing::error!(%tenant, event = %event.id, %error, "could not tell an event to webhooks, and never can; it becomes a dead letter");
                            told.never.push((*origin, format!("{} of {tenant}: {error}", event.id)));
                        }
                        Err(error) => told.put_off(tenant, &[*origin], std::slice::from_ref(event), &error),
                    }
                }
            }
            Err(error) => told.put_off(tenant, &self.origins, &self.events, &error),
        }
        told
    }
}

impl Told {
    /// Adds messages with events that could not be told.
    fn put_off(&mut self, tenant_id: TenantId, origins: &[usize], events: &[WebhookEvent], error: &Error) {
        tracing::error!(tenant = %tenant_id, %error, events = events.len(), "could not tell events to webhooks; a worker tells them later");
        let chunks = origins.chunks(UntoldEvents::AT_ONCE).zip(events.chunks(UntoldEvents::AT_ONCE));
        for (origins, events) in chunks {
            let untold = UntoldEvents { tenant_id, events: events.to_vec() };
            let message = Message { delay: LATER, ..Message::new(tenant_id, untold.to_json()) };
            self.later.add(origins[0], message);
        }
    }
}

/// Returns `true` if the same events would be refused again, for their size or form.
fn is_lasting(error: &Error) -> bool {
    use sequent_tables::Error as Table;
    matches!(error, Error::Data(Table::Limit(_) | Table::Malformed(_)))
}
