//! `forget_old_projects`: deletes the conversations of a tenant that are older than its plan keeps them.

use std::{num::NonZeroU32, time::Duration};

use sequent_core::{TenantId, Timestamp};
use sequent_jobs::{Context, Done, Failed, JobKind, NewJob};
use sequent_tables::{CursorKey, Store};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{Error, Projects};

/// `forget_old_projects`: deletes conversations without recent messages.
#[derive(Debug, Clone, Copy, Default)]
pub struct ForgetOldProjects;

/// The input of [`ForgetOldProjects`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetInput {
    /// The day, as `2026-11-29`. Each day has one job.
    pub period: String,
    /// Days for which a conversation is kept after its last message.
    pub days: NonZeroU32,
}

impl ForgetOldProjects {
    /// The job of the day of `now`, for a tenant whose conversations are kept for `days`.
    #[must_use]
    pub fn job(tenant: TenantId, days: NonZeroU32, now: Timestamp) -> NewJob {
        let period = now.to_string().chars().take(10).collect();
        NewJob::of::<Self>(tenant, &ForgetInput { period, days })
    }
}

impl JobKind for ForgetOldProjects {
    const TYPE: &'static str = "forget_old_projects";
    const TIMEOUT: Duration = Duration::from_secs(600);
    type Input = ForgetInput;

    fn key(input: &ForgetInput) -> Option<String> {
        Some(input.period.clone())
    }

    /// Each deletion is a job of its own. A second one of a project is refused, so they need no transaction with the end of this
    /// job.
    async fn run(&self, input: ForgetInput, context: Context) -> Result<Done, Failed> {
        let kept = Duration::from_secs(u64::from(input.days.get()) * 24 * 3600);
        let before = Timestamp::now() - kept;
        let forgotten = forget(context.store(), context.tenant, before).await.map_err(Failed::retry)?;
        Ok(Done::text(format!("The deletion of {forgotten} projects was enqueued.")))
    }
}

/// Enqueues the deletion of the conversations without a message since `before`. Returns their number.
async fn forget(store: &Store, tenant: TenantId, before: Timestamp) -> Result<usize, Error> {
    let projects = Projects::new(store, tenant);
    let cursors = CursorKey::new(Ulid::generate().to_string().into());
    let mut cursor = None;
    let mut forgotten = 0;
    loop {
        let page = projects.list(&cursors, cursor.as_deref(), Some(100)).await?;
        cursor = page.next_cursor(&cursors);
        for project in page.items.into_iter().filter(|project| project.updated_at < before) {
            match projects.delete_unchanged(&project).await {
                Ok(()) => forgotten += 1,
                // A user has just continued or deleted the conversation.
                Err(Error::ProjectNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        if cursor.is_none() {
            return Ok(forgotten);
        }
    }
}

#[cfg(test)]
mod tests {
    use sequent_core::UserId;

    use super::*;
    use crate::ProjectName;

    #[tokio::test]
    async fn only_old_projects_of_the_tenant_are_deleted() {
        let store = sequent_tables::testing::store().await;
        let tenant = TenantId::new();
        let other_tenant = TenantId::new();
        let user = UserId::new();
        let now = Timestamp::now();
        let ago = |days: u64| now - Duration::from_secs(days * 24 * 3600);
        let name = || ProjectName::new("x").expect("a name");
        let ours = Projects::new(&store, tenant);
        let theirs = Projects::new(&store, other_tenant);
        let mut old = Vec::new();
        // More than one page.
        for _ in 0..120 {
            old.push(ours.create(user, name(), ago(31)).await.expect("created"));
        }
        let young = ours.create(user, name(), ago(29)).await.expect("created");
        let foreign = theirs.create(user, name(), ago(31)).await.expect("created");
        assert_eq!(forget(&store, tenant, ago(30)).await.expect("forgotten"), 120);
        assert!(matches!(ours.get(old[0].id).await, Err(Error::ProjectNotFound)));
        assert_eq!(ours.get(young.id).await.expect("exists"), young);
        assert_eq!(theirs.get(foreign.id).await.expect("exists"), foreign);
        assert_eq!(forget(&store, tenant, ago(30)).await.expect("forgotten"), 0);
        let days = NonZeroU32::new(30).expect("not zero");
        let job = || ForgetOldProjects::job(tenant, days, now);
        assert_eq!(job().job_key, job().job_key, "one job a day");
    }
}
