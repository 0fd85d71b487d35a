//! The turn of a job: it sends what is due, records each outcome, and gives the turn on or back.
//!
//! A job that finds nothing due gives the turn back only if nothing was queued since it looked, which the write checks. A
//! delivery that is queued at the same time is therefore seen by this job, or by the job that its own transaction adds.

mod notice;
mod outcome;

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use sequent_core::{JobId, TenantId, Timestamp, WebhookId};
use sequent_tables::{
    Error as TableError, Key, PageRequest, Retry, Store, Transaction, Update, Write, attribute, exists,
    key::{self, DeliveryList},
};
use tokio::time::Instant;

use crate::{
    DeliverWebhook, DisableReason, DisabledWebhook, Error,
    delivery::StoredDelivery,
    signature::SigningSecret,
    tell::delivery_job,
    webhook::{DeliveryTurn, StoredWebhook},
};
use notice::disabled_notice;
use outcome::AttemptOutcome;

/// Requests to one webhook at the same time.
pub(crate) const CONCURRENCY: usize = 10;
/// Deliveries of one step.
const PAGE: u32 = 30;
/// A webhook is disabled if a delivery uses up its attempts and none has succeeded for so long.
const FAILING: Duration = Duration::from_secs(5 * 24 * 3600);

/// The turn of a job to deliver for a webhook.
pub(crate) struct Turn<'a> {
    pub(crate) deliverer: &'a DeliverWebhook,
    pub(crate) store: &'a Store,
    pub(crate) tenant: TenantId,
    pub(crate) id: WebhookId,
    pub(crate) job: JobId,
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnStep {
    /// The job still has the turn.
    Next,
    /// The job still has the turn. The receiver took as long as an attempt may, and accepted nothing.
    Slow,
    /// The job has nothing left to do.
    Ended(&'static str),
}

/// The beginning of the queue.
struct Queue {
    /// Entries that are due.
    due: Vec<Key>,
    /// The time of the first entry that is not.
    next: Option<Timestamp>,
}

impl Turn<'_> {
    /// Takes a step: sends some of what is due at `now`, or ends the turn. From `until` on, the turn is given on.
    pub(crate) async fn step(&self, now: Timestamp, until: Timestamp) -> Result<TurnStep, Error> {
        let Some(webhook) = self.webhook().await? else {
            self.erase().await?;
            return Ok(TurnStep::Ended("The webhook was deleted."));
        };
        if !self.is_of(&webhook) {
            return Ok(TurnStep::Ended("Another job delivers."));
        }
        let horizon = if webhook.webhook.enabled { now } else { Timestamp::from_millis(i64::MAX) };
        // A receiver that fails gets one round of requests in a step, which takes no longer than one attempt.
        let is_failing = webhook.webhook.failing_since.is_some();
        let page = if is_failing { CONCURRENCY as u32 } else { PAGE };
        let queue = self.queue(horizon, page).await?;
        if queue.due.is_empty() {
            return self.end(&webhook, queue.next, now).await;
        }
        if now >= until && self.give_on(&webhook, now, now).await? {
            return Ok(TurnStep::Ended("The next job continues."));
        }
        let start = Instant::now();
        let outcomes = self.deliver(&webhook, queue.due, now).await?;
        self.note(&webhook, &outcomes, now).await?;
        let is_slow = start.elapsed() >= self.deliverer.client.timeout();
        Ok(if is_slow && !outcomes.contains(&AttemptOutcome::Delivered) {
            TurnStep::Slow
        } else {
            TurnStep::Next
        })
    }

    /// Reads the webhook. Returns `None` if it was deleted.
    pub(crate) async fn webhook(&self) -> Result<Option<StoredWebhook>, TableError> {
        self.store.get(&self.key()).await
    }

    /// Returns `true` if this job has the turn. A job that has lost it never gets it back.
    pub(crate) fn is_of(&self, webhook: &StoredWebhook) -> bool {
        webhook.turn.is_some_and(|turn| turn.job == self.job)
    }

    fn key(&self) -> Key {
        key::webhook(self.tenant, self.id)
    }

    /// Reads the first entries of the queue, strongly consistent.
    async fn queue(&self, horizon: Timestamp, limit: u32) -> Result<Queue, TableError> {
        let mut queue = Queue { due: Vec::new(), next: None };
        for entry in self.page(DeliveryList::Queued, limit).await? {
            let Some(due) = key::parse_due(entry.sk()) else { continue };
            if due > horizon {
                queue.next = Some(due);
                break;
            }
            queue.due.push(entry);
        }
        Ok(queue)
    }

    /// Returns the keys of the first entries of the webhook in a list.
    async fn page(&self, list: DeliveryList, limit: u32) -> Result<Vec<Key>, TableError> {
        let request = PageRequest::new(list.of(self.tenant)).oldest_first().limit(Some(limit));
        let page = self.store.page_items(&request.after(key::before_deliveries(self.id))).await?;
        let keys = page.items.iter().filter_map(Key::of_item);
        let is_own = |key: &Key| key::parse_delivery(key.sk()).is_some_and(|(webhook, _)| webhook == self.id);
        Ok(keys.take_while(is_own).collect())
    }

    /// Ends the turn if the webhook is as it was read: there is nothing to do before `next`.
    async fn end(
        &self,
        webhook: &StoredWebhook,
        next: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<TurnStep, Error> {
        let is_ended = match next {
            Some(at) => self.give_on(webhook, at, now).await?,
            None => {
                let update = self.holding(webhook).set("turn", None::<DeliveryTurn>);
                self.store.write_if(update).await?
            }
        };
        Ok(if is_ended { TurnStep::Ended("Everything that was due was sent.") } else { TurnStep::Next })
    }

    /// Gives the turn to another job, which begins at `at`. Returns `false` if the webhook has changed.
    async fn give_on(&self, webhook: &StoredWebhook, at: Timestamp, now: Timestamp) -> Result<bool, Error> {
        let job = delivery_job(self.tenant, webhook);
        let turn = DeliveryTurn { job: job.id, at: at.millis() };
        let rows = if at > now { job.rows_at(at, now) } else { job.rows(now) };
        let transaction = Transaction::new().write(self.holding(webhook).set("turn", turn));
        let transaction = rows.into_iter().map(Write::insert).fold(transaction, Transaction::write);
        match self.store.commit(transaction, Retry::CONTENDED).await {
            Ok(()) => Ok(true),
            Err(cancelled) if cancelled.any_refused() => Ok(false),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// An update of the webhook, if this job still has the turn and nothing was queued since it was read.
    fn holding(&self, webhook: &StoredWebhook) -> Update {
        Update::of(&self.key())
            .when(attribute(["turn", "job"]).equals(self.job))
            .when(attribute("queued").equals(webhook.queued))
    }

    /// Makes an attempt at each delivery and records the outcome.
    async fn deliver(
        &self,
        webhook: &StoredWebhook,
        due: Vec<Key>,
        now: Timestamp,
    ) -> Result<Vec<AttemptOutcome>, Error> {
        let secrets = match webhook.webhook.enabled {
            true => webhook.secrets(self.tenant, &self.deliverer.vault, now).await?,
            false => Vec::new(),
        };
        let start = Instant::now();
        let attempts = due.into_iter().map(|entry| {
            let secrets = &secrets;
            async move { Box::pin(self.attempt(webhook, secrets, entry, now + start.elapsed())).await }
        });
        stream::iter(attempts).buffer_unordered(CONCURRENCY).try_collect().await
    }

    async fn attempt(
        &self,
        webhook: &StoredWebhook,
        secrets: &[SigningSecret],
        entry: Key,
        now: Timestamp,
    ) -> Result<AttemptOutcome, Error> {
        let Some((_, id)) = key::parse_delivery(entry.sk()) else { return Ok(AttemptOutcome::Nothing) };
        let row = key::webhook_delivery(self.tenant, self.id, id);
        let Some(delivery) = self.store.get::<StoredDelivery>(&row).await? else {
            self.store.delete(&entry).await?;
            return Ok(AttemptOutcome::Nothing);
        };
        let attempted = if webhook.webhook.enabled {
            let sent = self.deliverer.client.send(delivery.request(&webhook.webhook, secrets), now).await;
            delivery.attempted(sent, now)
        } else {
            delivery.given_up(now)
        };
        let is_recorded = attempted.record(self.store, self.tenant, &entry).await?;
        Ok(if is_recorded { attempted.outcome } else { AttemptOutcome::Nothing })
    }

    /// Notes what the outcomes of a step mean for the webhook.
    async fn note(
        &self,
        webhook: &StoredWebhook,
        outcomes: &[AttemptOutcome],
        now: Timestamp,
    ) -> Result<(), Error> {
        let has = |wanted: &[AttemptOutcome]| outcomes.iter().any(|outcome| wanted.contains(outcome));
        let since = webhook.webhook.failing_since;
        if !webhook.webhook.enabled {
            return Ok(());
        }
        if has(&[AttemptOutcome::Gone]) {
            return self.disable(webhook, DisableReason::Gone, now).await;
        }
        if has(&[AttemptOutcome::Delivered]) {
            return match since {
                Some(_) => self.set_failing(None).await,
                None => Ok(()),
            };
        }
        let is_failing = since.is_some_and(|since| now.since(since) >= FAILING);
        if has(&[AttemptOutcome::Failed]) && is_failing {
            return self.disable(webhook, DisableReason::Failing, now).await;
        }
        match since {
            None if has(&[AttemptOutcome::Again, AttemptOutcome::Failed]) => {
                self.set_failing(Some(now)).await
            }
            _ => Ok(()),
        }
    }

    async fn set_failing(&self, since: Option<Timestamp>) -> Result<(), Error> {
        self.store.write_if(Update::of(&self.key()).set("failing_since", since).when(exists())).await?;
        Ok(())
    }

    /// Disables the webhook, and adds the job that tells the user who created it. Both happen once.
    async fn disable(
        &self,
        webhook: &StoredWebhook,
        reason: DisableReason,
        now: Timestamp,
    ) -> Result<(), Error> {
        let update = Update::of(&self.key())
            .set("enabled", false)
            .set("disabled", DisabledWebhook { reason, at: now })
            .set("updated_at", now)
            .when(attribute("enabled").equals(true));
        let rows = disabled_notice(self.tenant, &webhook.webhook, reason).rows(now);
        let transaction = Transaction::new().write(update);
        let transaction = rows.into_iter().map(Write::insert).fold(transaction, Transaction::write);
        match self.store.commit(transaction, Retry::CONTENDED).await {
            Ok(()) => {
                tracing::warn!(tenant = %self.tenant, webhook = %self.id, ?reason, "disabled a webhook; its deliveries fail");
                Ok(())
            }
            // A caller has disabled it meanwhile.
            Err(cancelled) if cancelled.any_refused() => Ok(()),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Deletes the deliveries of a webhook that does not exist any more.
    async fn erase(&self) -> Result<(), Error> {
        for list in [DeliveryList::Queued, DeliveryList::Failed, DeliveryList::All] {
            loop {
                let keys = self.page(list, PageRequest::MAX_LIMIT).await?;
                if keys.is_empty() {
                    break;
                }
                let deletions = keys.into_iter().map(|key| async move { self.store.delete(&key).await });
                stream::iter(deletions).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
            }
        }
        Ok(())
    }
}
