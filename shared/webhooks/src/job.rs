//! `deliver_webhook`: the job that delivers for a webhook, for as long as it has the turn.

use std::time::Duration;

use sequent_core::{Timestamp, WebhookId};
use sequent_identity::Vault;
use sequent_jobs::{Context, Done, Failed, JobKind, RetryPolicy};
use serde::{Deserialize, Serialize};

use crate::{
    WebhookClient,
    turn::{Turn, TurnStep},
};

/// Time after which the job gives the turn on to another job, which waits in the queue behind those of other tenants.
const SLICE: Duration = Duration::from_secs(30);

/// `deliver_webhook`: sends the deliveries of a webhook that are due.
#[derive(Clone)]
pub struct DeliverWebhook {
    pub(crate) client: WebhookClient,
    pub(crate) vault: Vault,
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
        Self { client, vault }
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
    type Input = DeliverWebhookInput;

    fn key(_: &DeliverWebhookInput) -> Option<String> {
        None
    }

    async fn run(&self, input: DeliverWebhookInput, context: Context) -> Result<Done, Failed> {
        let turn = Turn {
            deliverer: self,
            store: context.store(),
            tenant: context.tenant,
            webhook: input.webhook_id,
            job: context.job,
        };
        let until = Timestamp::now() + SLICE;
        loop {
            match Box::pin(turn.step(Timestamp::now(), until)).await.map_err(Failed::retry)? {
                TurnStep::Next => {}
                TurnStep::Ended(why) => return Ok(Done::text(why)),
            }
        }
    }
}

impl std::fmt::Debug for DeliverWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeliverWebhook").field("client", &self.client).finish_non_exhaustive()
    }
}
