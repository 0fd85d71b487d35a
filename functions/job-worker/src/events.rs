//! The messages with events that webhooks are still to be told.

use futures::future::BoxFuture;
use sequent_core::Timestamp;
use sequent_jobs::MessageHandler;
use sequent_tables::Store;
use sequent_webhooks::{UntoldEvents, tell};

/// Tells webhooks the events that could not be told when their rows changed.
#[derive(Debug, Clone)]
pub struct LateEvents(pub Store);

impl MessageHandler for LateEvents {
    fn handle(
        &self,
        text: &str,
    ) -> Option<BoxFuture<'static, Result<(), Box<dyn std::error::Error + Send + Sync>>>> {
        let UntoldEvents { tenant_id, events } = UntoldEvents::from_json(text)?;
        let store = self.0.clone();
        Some(Box::pin(async move {
            let deliveries = Box::pin(tell(&store, tenant_id, &events, Timestamp::now())).await?;
            tracing::info!(tenant = %tenant_id, events = events.len(), deliveries, "told late events to webhooks");
            Ok(())
        }))
    }
}
