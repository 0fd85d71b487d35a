//! `forget_old_projects`: deletes the conversations of a tenant that are older than its plan keeps them.

use std::{num::NonZeroU32, time::Duration};

use sequent_core::{TenantId, Timestamp};
use sequent_jobs::{Context, Done, Failed, JobKind, NewJob};
use sequent_tables::{CursorKey, Store};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{Error, Project, Projects};

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

/// Enqueues the deletion of the conversations without a message since `before`. Returns their number. A conversation with a
/// live run is in use, however long that run takes.
async fn forget(store: &Store, tenant: TenantId, before: Timestamp) -> Result<usize, Error> {
    let projects = Projects::new(store, tenant);
    let cursors = CursorKey::new(Ulid::generate().to_string().into());
    let mut cursor = None;
    let mut forgotten = 0;
    loop {
        let page = projects.list(&cursors, cursor.as_deref(), Some(100)).await?;
        cursor = page.next_cursor(&cursors);
        let is_old = |project: &Project| project.updated_at < before && project.live_run_id.is_none();
        for project in page.items.into_iter().filter(is_old) {
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
    use crate::{ProjectName, TurnRequest, tests::Bench};

    /// Makes the project look as if nothing had happened in it for a year. Returns it as it is then.
    async fn age(bench: &Bench) -> Project {
        let year_ago = Timestamp::now() - Duration::from_secs(365 * 24 * 3600);
        bench.damage_project(|update| update.set("updated_at", year_ago)).await;
        bench.project().await
    }

    async fn forget_after_a_month(bench: &Bench) -> usize {
        let month_ago = Timestamp::now() - Duration::from_secs(30 * 24 * 3600);
        forget(bench.runs.tables(), bench.tenant, month_ago).await.expect("forgotten")
    }

    #[tokio::test]
    async fn a_message_that_waits_for_the_turn_keeps_its_project() {
        let bench = Bench::new().await;
        let listed = age(&bench).await;
        bench.create("are you still there?", TurnRequest::Wait).await.expect("created");
        assert_eq!(forget_after_a_month(&bench).await, 0);
        assert!(bench.project().await.updated_at > listed.updated_at);
        let projects = Projects::new(bench.runs.tables(), bench.tenant);
        let deleted = projects.delete_unchanged(&listed).await;
        assert!(
            matches!(deleted, Err(Error::ProjectNotFound)),
            "it was listed before the message: {deleted:?}"
        );
    }

    #[tokio::test]
    async fn a_live_run_keeps_its_project_however_long_it_takes() {
        let bench = Bench::new().await;
        let run = bench.create("count to a billion", TurnRequest::Claim).await.expect("created");
        let listed = age(&bench).await;
        assert_eq!(forget_after_a_month(&bench).await, 0);
        let projects = Projects::new(bench.runs.tables(), bench.tenant);
        let deleted = projects.delete_unchanged(&listed).await;
        assert!(matches!(deleted, Err(Error::ProjectNotFound)), "{deleted:?}");

        let writer = bench.claim(&run).await.expect("the run has no owner");
        bench.finish(&writer, &run, sequent_event::RunOutcome::Success).await;
        age(&bench).await;
        assert_eq!(forget_after_a_month(&bench).await, 1);
    }

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
