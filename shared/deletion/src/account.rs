//! `delete_account`: the job that deletes a closed account with everything in it.
//!
//! The account was closed in the transaction that enqueued the job, so no one can sign in. The job belongs to the
//! deployment and not to the tenant, whose jobs it deletes. The ledger and the purchases stay, which the operator must
//! keep, and the records of runs that they refer to: ids, times, models and costs, without a word of content.

use std::{str::FromStr, time::Duration};

use sequent_artifacts::Artifacts;
use sequent_conversation::{Error as ConversationError, Projects};
use sequent_core::{ArtifactId, JobId, ProjectId, TenantId, Timestamp, UserId, pace::scaled};
use sequent_hooks::delete_hooks;
use sequent_identity::closing::{AccountDeletion, delete_credentials, delete_user};
use sequent_jobs::{Context, Done, Failed, JobKind, RetryPolicy};
use sequent_tables::{
    Key, PageRequest, Store,
    key::{self, Partition},
};
use tokio::time::sleep;

use crate::Error;

/// The time after which no request is at work whose credential was verified before the account was closed.
const QUIET: Duration = Duration::from_secs(40);
/// Pause between two looks at conversations that are being deleted.
const PAUSE: Duration = Duration::from_secs(1);
/// Looks at them before another attempt.
const LOOKS: u32 = 600;
/// The failure of a job whose account is deleted.
const REASON: &str = "The account was deleted.";

/// `delete_account`: deletes a closed account with everything in it.
#[derive(Debug, Clone)]
pub struct DeleteAccount(Artifacts);

impl DeleteAccount {
    /// Deletes the objects of `artifacts`, too.
    #[must_use]
    pub fn new(artifacts: Artifacts) -> Self {
        Self(artifacts)
    }
}

impl JobKind for DeleteAccount {
    const TYPE: &'static str = AccountDeletion::TYPE;
    const TIMEOUT: Duration = Duration::from_secs(800);
    /// A deletion must happen: see [`DeleteConversation`](crate::DeleteConversation).
    const RETRY: RetryPolicy = RetryPolicy { attempts: 30, ..RetryPolicy::DEFAULT };
    type Input = AccountDeletion;

    fn key(input: &AccountDeletion) -> Option<String> {
        Some(input.key())
    }

    async fn run(&self, input: AccountDeletion, context: Context) -> Result<Done, Failed> {
        let quiet_at = input.closed_at + scaled(QUIET);
        sleep(quiet_at.since(Timestamp::now())).await;
        let AccountDeletion { tenant_id: tenant, user_id: user, .. } = input;
        let account = ClosedAccount { tenant, user, artifacts: &self.0, context: &context };
        Box::pin(account.erase()).await.map_err(Failed::retry)?;
        Ok(Done::text("The account was deleted."))
    }
}

/// An account that is being deleted. Each step can be repeated.
struct ClosedAccount<'a> {
    tenant: TenantId,
    user: UserId,
    artifacts: &'a Artifacts,
    context: &'a Context,
}

impl ClosedAccount<'_> {
    async fn erase(&self) -> Result<(), Error> {
        delete_credentials(self.store(), self.tenant, self.user).await?;
        // Before the conversations: the start of a run of a schedule or a hook requires the row of that.
        self.store().empty(key::schedules(self.tenant)).await?;
        delete_hooks(self.store(), self.tenant).await?;
        // Without webhooks, no event of the deletion adds another delivery and its job.
        self.store().empty(key::webhooks(self.tenant)).await?;
        self.erase_conversations().await?;
        self.erase_artifacts().await?;
        self.erase_jobs().await?;
        for list in key::plain_lists(self.tenant) {
            self.store().empty(list).await?;
        }
        delete_user(self.store(), self.tenant, self.user).await?;
        // After the tenant: as long as it exists, a late record of the stream begins the feed again.
        for list in key::feed_lists(self.tenant) {
            self.store().empty(list).await?;
        }
        Ok(())
    }

    /// Has the conversations deleted by their own jobs, and waits for them.
    async fn erase_conversations(&self) -> Result<(), Error> {
        let mut left = None;
        for look in 0..LOOKS {
            left = self.mark_conversations().await?;
            if left.is_none() {
                return Ok(());
            }
            let percent = u8::try_from(look * 90 / LOOKS).unwrap_or(90);
            self.context.progress.report(percent, "conversations are being deleted");
            sleep(scaled(PAUSE)).await;
        }
        left.map_or(Ok(()), |project| Err(Error::ConversationLeft(project)))
    }

    /// Marks every conversation as being deleted. Returns one that is left, or `None` if there is none.
    async fn mark_conversations(&self) -> Result<Option<ProjectId>, Error> {
        let projects = Projects::new(self.store(), self.tenant);
        let mut request = PageRequest::new(key::projects(self.tenant)).limit(Some(PageRequest::MAX_LIMIT));
        let mut left = None;
        loop {
            let page = self.store().page_items(&request).await?;
            let keys: Vec<Key> = page.items.iter().filter_map(Key::of_item).collect();
            for (_, project) in keys.iter().filter_map(key::parse_project) {
                left = Some(project);
                match projects.delete(project).await {
                    // It is being deleted.
                    Ok(()) | Err(ConversationError::ProjectNotFound) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            match keys.last() {
                Some(last) => request = request.starting_after(last),
                None => return Ok(left),
            }
        }
    }

    /// Deletes the artifacts that belong to no conversation, such as uploads and exported files.
    async fn erase_artifacts(&self) -> Result<(), Error> {
        loop {
            let ids: Vec<ArtifactId> = self.ids(key::artifacts(self.tenant)).await?;
            if ids.is_empty() {
                return Ok(());
            }
            for id in ids {
                self.store().empty(key::jobs_about(self.tenant, &id.to_string())).await?;
                match self.artifacts.delete(self.tenant, id).await {
                    Ok(()) | Err(sequent_artifacts::Error::NotFound) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    /// Ends the jobs of the tenant, so that their workers can store nothing more, and removes them.
    async fn erase_jobs(&self) -> Result<(), Error> {
        loop {
            let ids: Vec<JobId> = self.ids(key::jobs(self.tenant)).await?;
            if ids.is_empty() {
                return Ok(());
            }
            for id in ids {
                let now = Timestamp::now();
                let cancelled = sequent_jobs::cancel(&self.context.storage, self.tenant, id, REASON, now);
                match Box::pin(cancelled).await {
                    Ok(_) => sequent_jobs::remove(self.store(), self.tenant, id).await?,
                    Err(sequent_jobs::Error::NotFound) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    /// Reads the ids of a page of a list.
    async fn ids<T: FromStr>(&self, list: Partition) -> Result<Vec<T>, Error> {
        let request = PageRequest::new(list).limit(Some(PageRequest::MAX_LIMIT));
        let page = self.store().page_items(&request).await?;
        let keys = page.items.iter().filter_map(Key::of_item);
        Ok(keys.filter_map(|key| key.sk().parse().ok()).collect())
    }

    fn store(&self) -> &Store {
        self.context.store()
    }
}
