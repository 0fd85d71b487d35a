//! `deliver_webhook`: the job that delivers for a webhook, for as long as it has the turn.

use std::time::Duration;

use sequent_core::{Timestamp, WebhookId};
use sequent_identity::Vault;
use sequent_jobs::{Context, Done, Failed, JobKind, RetryPolicy};
use serde::{Deserialize, Serialize};

use crate::{
    WebhookClient, WorkerShares,
    share::{self, DeliveryLease},
    turn::{Turn, TurnStep},
};

/// Time after which the job gives the turn on to another job, which waits in the queue behind those of other tenants. A step that
/// began before takes up to three timeouts, so a job delivers for a minute at most.
const SLICE: Duration = Duration::from_secs(30);

/// `deliver_webhook`: sends the deliveries of a webhook that are due.
#[derive(Clone)]
pub struct DeliverWebhook {
    pub(crate) client: WebhookClient,
    pub(crate) vault: Vault,
    shares: WorkerShares,
}

/// The input of [`DeliverWebhook`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct DeliverWebhookInput {
    pub webhook_id: WebhookId,
}

impl DeliverWebhook {
    /// The type of the job. Its failure is no event: the event could be delivered no better.
    pub const NAME: &'static str = "deliver_webhook";

    /// Sends through `client`, with the secrets that `vault` opens.
    #[must_use]
    pub fn new(client: WebhookClient, vault: Vault) -> Self {
        Self { client, vault, shares: WorkerShares::default() }
    }

    /// Sets the share of the workers that deliveries take.
    #[must_use]
    pub fn with_shares(self, shares: WorkerShares) -> Self {
        Self { shares, ..self }
    }

    /// Takes steps until the turn has ended. A receiver that hangs ends its slice with the step in which it did.
    async fn deliver(&self, turn: &Turn<'_>) -> Result<Done, Failed> {
        let mut until = Timestamp::now() + SLICE;
        loop {
            match Box::pin(turn.step(Timestamp::now(), until)).await.map_err(Failed::retry)? {
                TurnStep::Next => {}
                TurnStep::Slow => until = Timestamp::now(),
                TurnStep::Ended(why) => return Ok(Done::text(why)),
            }
        }
    }
}

impl JobKind for DeliverWebhook {
    const TYPE: &'static str = Self::NAME;
    /// Longer than a slice and the last page of deliveries after it.
    const TIMEOUT: Duration = Duration::from_secs(180);
    /// A failing receiver is no failure of the job. The job fails if the table or a secret cannot be read, which must not end
    /// the deliveries: three days, as long as they are retried.
    const RETRY: RetryPolicy =
        RetryPolicy { attempts: 400, first: Duration::from_secs(5), longest: Duration::from_secs(900) };
    /// It concerns the operator only.
    const IS_INTERNAL: bool = true;
    type Input = DeliverWebhookInput;

    fn key(_: &DeliverWebhookInput) -> Option<String> {
        None
    }

    async fn run(&self, input: DeliverWebhookInput, context: Context) -> Result<Done, Failed> {
        let Context { tenant, job, .. } = context;
        let store = context.store();
        let turn = Turn { deliverer: self, store, tenant, id: input.webhook_id, job };
        let webhook = turn.webhook().await.map_err(Failed::retry)?;
        // A job without the turn, or of a webhook that was deleted, sends nothing.
        let Some(webhook) = webhook.filter(|webhook| turn.is_of(webhook)) else {
            return Box::pin(self.deliver(&turn)).await;
        };
        let now = Timestamp::now();
        let is_failing = webhook.webhook.failing_since.is_some();
        let lease = DeliveryLease { tenant, is_failing, until: now + Self::TIMEOUT };
        if !self.shares.take(store, job, lease, now).await.map_err(Failed::retry)? {
            return Err(Failed::NotNow { pause: share::pause(context.attempt) });
        }
        let ended = Box::pin(self.deliver(&turn)).await;
        share::release(store, job).await;
        ended
    }
}

impl std::fmt::Debug for DeliverWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeliverWebhook").field("client", &self.client).finish_non_exhaustive()
    }
}
