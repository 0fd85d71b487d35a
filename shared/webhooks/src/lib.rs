//! Webhooks: events of a tenant are sent to its receivers, signed as Standard Webhooks specifies
//! (<https://www.standardwebhooks.com>).
//!
//! Invariants:
//!
//! * **No event is lost in silence.** A changed row, or an announcement in the transaction of a cause, becomes one delivery
//!   for each webhook ([`tell`]). If it cannot be told, a message carries it until it is ([`UntoldEvents`]). A delivery is pending and in the queue, delivered, or failed and in the list of failures.
//! * **One fact, one id.** The id of an event is derived from its cause, and that of a delivery from the event and the webhook.
//!   Telling an event again adds nothing, and each attempt has the same id. Receivers get each event at least once.
//! * **No gap.** The transaction that adds deliveries gives them the next numbers of their webhook.
//! * **One job delivers for a webhook at a time.** It has the turn, which the row of the webhook records, and sends a bounded
//!   number of requests at once. The turn is not needed for safety: the entry in the queue is deleted by the write of the
//!   outcome, so only one outcome of an attempt counts.
//! * **Deliveries take a bounded share of the workers.** A job delivers while it has one of a few leases ([`WorkerShares`]): a
//!   third of the workers at most deliver, a third of these for one tenant, and half of them for webhooks that fail. A job
//!   without a lease keeps no worker: it is queued again. So receivers that hang delay no job that does not deliver.
//! * **Only public addresses.** The guard checks the address when it is set, and every connection.
//!
//! Decision 24 (`infra/decisions/0024-one-job-delivers-for-a-webhook.md`) explains why.

mod announcement;
mod api_error;
mod client;
mod credits;
mod deliveries;
mod delivery;
mod error;
mod event;
mod job;
mod retry;
mod share;
pub mod signature;
mod tell;
#[cfg(test)]
mod tests;
mod turn;
mod untold;
mod webhook;
mod webhooks;

pub use announcement::{announced, announcement};
pub use client::{TIMEOUT, WebhookClient};
pub use credits::CompareCredits;
pub use deliveries::DeliveryQuery;
pub use delivery::{DeliveryAttempt, DeliveryStatus, WebhookDelivery, WebhookDeliveryDetails};
pub use error::Error;
pub use event::{API_VERSION, EventType, WebhookEvent};
pub use job::{DeliverWebhook, DeliverWebhookInput};
pub use retry::MAX_ATTEMPTS;
pub use share::WorkerShares;
pub use tell::tell;
pub use untold::UntoldEvents;
pub use webhook::{
    DisableReason, DisabledWebhook, NewWebhook, ROTATION, Webhook, WebhookChange, delivering_job,
};
pub use webhooks::Webhooks;
