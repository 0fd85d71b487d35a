//! `forget_old_projects`: deletes the conversations of a tenant in which nothing has been said for long.

use std::{num::NonZeroU32, time::Duration};

use sequent_core::{TenantId, Timestamp};
use sequent_jobs::{Context, Done, Failed, JobKind, NewJob};
use sequent_tables::{CursorKey, Store};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{Projects, projects::Error};

/// Deletes old conversations, as their owner would.
#[derive(Debug, Clone, Copy, Default)]
pub struct ForgetOldProjects;

/// How old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetInput {
    /// The day it is for: each has one job.
    pub period: String,
    /// Days that a conversation is kept after the last that was said in it.
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

    /// Deleting what is gone already changes nothing, so this needs no transaction with its own end.
    async fn run(&self, input: ForgetInput, context: Context) -> Result<Done, Failed> {
        let kept = Duration::from_secs(u64::from(input.days.get()) * 24 * 3600);
        let before = Timestamp::now() - kept;
        let forgotten = forget(context.store(), context.tenant, before).await.map_err(Failed::retry)?;
        Ok(Done::text(format!("{forgotten} conversations were deleted")))
    }
}

/// Deletes the conversations in which nothing has been said since `before`; how many they were.
async fn forget(store: &Store, tenant: TenantId, before: Timestamp) -> Result<usize, Error> {
    let projects = Projects::new(store, tenant);
    let (cursors, mut cursor, mut forgotten) = (CursorKey::new(Ulid::generate().to_string().into()), None, 0);
    loop {
        let page = projects.list(&cursors, cursor.as_deref(), Some(100)).await?;
        cursor = page.next_cursor(&cursors);
        for project in page.items.into_iter().filter(|project| project.updated_at < before) {
            match projects.delete(project.id).await {
                Ok(()) => forgotten += 1,
                // Somebody goes on with it after all, or was faster.
                Err(Error::Live(_) | Error::NotFound) => {}
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
    use crate::Name;

    #[tokio::test]
    async fn only_what_is_old_and_the_tenants_own_goes() {
        let store = sequent_tables::testing::store().await;
        let (tenant, other, user) = (TenantId::new(), TenantId::new(), UserId::new());
        let now = Timestamp::now();
        let ago = |days: u64| now - Duration::from_secs(days * 24 * 3600);
        let name = || Name::new("x").expect("a name");
        let (ours, theirs) = (Projects::new(&store, tenant), Projects::new(&store, other));
        let mut old = Vec::new();
        // More than a page of them.
        for _ in 0..120 {
            old.push(ours.create(user, name(), ago(31)).await.expect("created"));
        }
        let young = ours.create(user, name(), ago(29)).await.expect("created");
        let foreign = theirs.create(user, name(), ago(31)).await.expect("created");
        assert_eq!(forget(&store, tenant, ago(30)).await.expect("forgotten"), 120);
        assert!(matches!(ours.get(old[0].id).await, Err(Error::NotFound)));
        assert_eq!(ours.get(young.id).await.expect("there"), young);
        assert_eq!(theirs.get(foreign.id).await.expect("there"), foreign);
        assert_eq!(forget(&store, tenant, ago(30)).await.expect("forgotten"), 0);
        let days = NonZeroU32::new(30).expect("not none");
        let (one, again) =
            (ForgetOldProjects::job(tenant, days, now), ForgetOldProjects::job(tenant, days, now));
        assert_eq!(one.job_key, again.job_key, "one of a day");
    }
}
