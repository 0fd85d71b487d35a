//! Telling the events of a batch to the webhooks of their tenants.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use sequent_core::{TenantId, Timestamp};
use sequent_tables::Store;
use sequent_webhooks::{Error, WebhookEvent, tell};

/// Tenants whose webhooks are told at the same time.
const CONCURRENCY: usize = 8;

/// The events of a batch, by tenant, so that the webhooks of each are read once.
#[derive(Default)]
pub(crate) struct Events(BTreeMap<TenantId, TenantEvents>);

#[derive(Default)]
struct TenantEvents {
    /// The index of the first record with an event of the tenant.
    origin: usize,
    events: Vec<WebhookEvent>,
}

/// The result of telling.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) deliveries: usize,
    /// The index of the first record whose event must be told again.
    pub(crate) untold: Option<usize>,
}

impl Events {
    /// Adds the event of the record with the index `origin`.
    pub(crate) fn add(&mut self, origin: usize, tenant: TenantId, event: WebhookEvent) {
        let of_tenant =
            self.0.entry(tenant).or_insert_with(|| TenantEvents { origin, ..TenantEvents::default() });
        of_tenant.events.push(event);
    }

    /// Tells all events. What the table cannot store now, the stream delivers again. What it can never store is reported and
    /// left out: a retry would hold up the shard.
    pub(crate) async fn tell(&self, store: &Store, now: Timestamp) -> Told {
        let telling = self.0.iter().map(|(tenant, of_tenant)| async move {
            let told = Box::pin(tell(store, *tenant, &of_tenant.events, now)).await;
            (*tenant, of_tenant.origin, told)
        });
        let mut telling = Box::pin(stream::iter(telling).buffer_unordered(CONCURRENCY));
        let mut all = Told::default();
        while let Some((tenant, origin, told)) = telling.next().await {
            match told {
                Ok(deliveries) => all.deliveries += deliveries,
                Err(error) if is_lasting(&error) => {
                    tracing::error!(%tenant, %error, "could not tell events to webhooks, and never can; they are left out");
                }
                Err(error) => {
                    tracing::error!(%tenant, %error, "could not tell events to webhooks; the stream delivers them again");
                    all.untold = [all.untold, Some(origin)].into_iter().flatten().min();
                }
            }
        }
        all
    }
}

/// Returns `true` if the same events would be refused again, for their size or form.
fn is_lasting(error: &Error) -> bool {
    use sequent_tables::Error as Table;
    matches!(error, Error::Data(Table::Limit(_) | Table::Malformed(_)))
}
