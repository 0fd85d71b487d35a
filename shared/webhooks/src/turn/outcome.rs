//! The outcome of an attempt: its meaning for the delivery, and the transaction that records it.

use sequent_core::{TenantId, Timestamp};
use sequent_tables::{Key, Retry, Store, Transaction, Update, Write, exists, key};

use crate::{
    DeliveryStatus, Error, Webhook,
    client::{AttemptResult, ReceiverAnswer, SignedRequest},
    delivery::{KEPT, StoredDelivery},
    retry::pause,
    signature::SigningSecret,
};

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptOutcome {
    Delivered,
    /// The attempt failed and another follows.
    Again,
    /// The attempt failed and none follows.
    Failed,
    /// The receiver wants no more events.
    Gone,
    /// There was nothing to send, or another job has recorded an outcome.
    Nothing,
}

/// A delivery after an attempt.
pub(super) struct Attempted {
    delivery: StoredDelivery,
    pub(super) outcome: AttemptOutcome,
    at: Timestamp,
}

impl StoredDelivery {
    pub(super) fn request<'a>(
        &'a self,
        webhook: &'a Webhook,
        secrets: &'a [SigningSecret],
    ) -> SignedRequest<'a> {
        SignedRequest { url: &webhook.url, id: self.delivery.event_id, body: &self.body, secrets }
    }

    /// The delivery after an attempt at `now`.
    pub(super) fn attempted(self, result: AttemptResult, now: Timestamp) -> Attempted {
        let AttemptResult { attempt, answer } = result;
        let mut delivery = self.with_attempt(attempt);
        let next = match answer {
            ReceiverAnswer::Accepted => None,
            ReceiverAnswer::Gone => {
                delivery.failures += 1;
                None
            }
            ReceiverAnswer::Failed { retry_after } => {
                delivery.failures += 1;
                pause(delivery.failures, retry_after).map(|pause| now + pause)
            }
        };
        let (outcome, status) = match (answer, next) {
            (ReceiverAnswer::Accepted, _) => (AttemptOutcome::Delivered, DeliveryStatus::Delivered),
            (ReceiverAnswer::Gone, _) => (AttemptOutcome::Gone, DeliveryStatus::Failed),
            (ReceiverAnswer::Failed { .. }, Some(_)) => (AttemptOutcome::Again, DeliveryStatus::Pending),
            (ReceiverAnswer::Failed { .. }, None) => (AttemptOutcome::Failed, DeliveryStatus::Failed),
        };
        delivery.delivery.status = status;
        delivery.delivery.next_attempt_at = next;
        Attempted { delivery, outcome, at: now }
    }

    /// The delivery to a webhook that is disabled.
    pub(super) fn given_up(mut self, now: Timestamp) -> Attempted {
        self.delivery.status = DeliveryStatus::Failed;
        self.delivery.next_attempt_at = None;
        Attempted { delivery: self, outcome: AttemptOutcome::Failed, at: now }
    }
}

impl Attempted {
    /// Records the outcome, and moves the delivery in the queue or out of it. Returns `false` if another job has recorded an
    /// outcome, or if the delivery was deleted.
    pub(super) async fn record(&self, store: &Store, tenant: TenantId, entry: &Key) -> Result<bool, Error> {
        let StoredDelivery { delivery, failures, .. } = &self.delivery;
        let update = Update::of(&key::webhook_delivery(tenant, delivery.webhook_id, delivery.id))
            .set("status", delivery.status)
            .set("attempts", &delivery.attempts)
            .set("failures", failures)
            .set("next_attempt_at", delivery.next_attempt_at)
            .when(exists());
        let has_failed = delivery.status == DeliveryStatus::Failed;
        let update = if has_failed { update.expires_at(self.at + KEPT) } else { update };
        let transaction = Transaction::new().write(Write::delete(entry).when(exists())).write(update);
        let transaction = match delivery.next_attempt_at {
            Some(due) => transaction.write(Write::put(self.delivery.queue_entry(tenant, due)?)),
            None if has_failed => transaction.write(Write::put(self.delivery.failure(tenant, self.at)?)),
            None => transaction,
        };
        match store.commit(transaction, Retry::CONTENDED).await {
            Ok(()) => {
                self.log();
                Ok(true)
            }
            Err(cancelled) if cancelled.any_refused() => Ok(false),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    fn log(&self) {
        let delivery = &self.delivery.delivery;
        let status = delivery.attempts.last().and_then(|attempt| attempt.status);
        match self.outcome {
            AttemptOutcome::Failed | AttemptOutcome::Gone => tracing::warn!(
                webhook = %delivery.webhook_id, delivery = %delivery.id, status,
                "a delivery failed for good; it is in the list of failed deliveries"
            ),
            outcome => tracing::debug!(
                webhook = %delivery.webhook_id, delivery = %delivery.id, status, ?outcome, "attempted a delivery"
            ),
        }
    }
}
