//! `forget_old_projects`: deletes the conversations of a tenant that are older than its plan, or the operator, keeps them.
//!
//! The first run of a day enqueues the job. The job then enqueues itself for the next day as long as the tenant has
//! conversations, so that it also runs for a tenant that starts no more runs. Nothing scans all tenants.

use std::time::Duration;

use sequent_billing::Credits;
use sequent_core::{TenantId, Timestamp};
use sequent_jobs::{Context, Done, Failed, JobKind, NewJob, enqueue_at};
use sequent_tables::{CursorKey, Store};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{Error, Project, Projects};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// `forget_old_projects`: deletes conversations without recent messages.
#[derive(Debug, Clone)]
pub struct ForgetOldProjects {
    credits: Credits,
}

/// The input of [`ForgetOldProjects`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetInput {
    /// The day, as `2026-11-29`. Each day has one job.
    pub period: String,
}

impl ForgetOldProjects {
    /// Keeps conversations as long as `credits` say when the job runs: a plan may change while a tenant starts no runs.
    #[must_use]
    pub fn new(credits: Credits) -> Self {
        Self { credits }
    }

    /// The job of the day of `at`.
    #[must_use]
    pub fn job(tenant: TenantId, at: Timestamp) -> NewJob {
        let period = at.to_string().chars().take(10).collect();
        NewJob::of::<Self>(tenant, &ForgetInput { period })
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
    /// job. The job of the next day is enqueued first: a failure of this one does not end the series.
    async fn run(&self, _: ForgetInput, context: Context) -> Result<Done, Failed> {
        let days = self.credits.retention_days(context.tenant).await.map_err(Failed::retry)?;
        let Some(days) = days else {
            return Ok(Done::text("Conversations are kept until they are deleted."));
        };
        let now = Timestamp::now();
        if !has_projects(context.store(), context.tenant).await.map_err(Failed::retry)? {
            return Ok(Done::text("There are no conversations."));
        }
        let tomorrow = now + DAY;
        let next = Self::job(context.tenant, tomorrow);
        enqueue_at(context.store(), &next, tomorrow, now).await.map_err(Failed::retry)?;
        let before = now - DAY * days.get();
        let forgotten = forget(context.store(), context.tenant, before).await.map_err(Failed::retry)?;
        Ok(Done::text(format!("The deletion of {forgotten} projects was enqueued.")))
    }
}

async fn has_projects(store: &Store, tenant: TenantId) -> Result<bool, Error> {
    let cursors = own_cursors();
    let page = Projects::new(store, tenant).list(&cursors, None, Some(1)).await?;
    Ok(!page.items.is_empty() || page.next_cursor(&cursors).is_some())
}

/// A key for cursors that only this process uses.
fn own_cursors() -> CursorKey {
    CursorKey::new(Ulid::generate().to_string().into())
}

/// Enqueues the deletion of the conversations without a message since `before`. Returns their number. A conversation with a
/// live run is in use, however long that run takes.
async fn forget(store: &Store, tenant: TenantId, before: Timestamp) -> Result<usize, Error> {
    let projects = Projects::new(store, tenant);
    let cursors = own_cursors();
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
    use std::num::NonZeroU32;

    use sequent_core::{TenantLimits, UserId};
    use sequent_jobs::{Delivery, Job, JobStatus, Jobs, Registry, Worked, Worker, enqueue};
    use sequent_runlog::{DynamoStorage, Settings};

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
        let job = || ForgetOldProjects::job(tenant, now);
        assert_eq!(job().job_key, job().job_key, "one job a day");
    }

    async fn work(store: &Store, retention_days: Option<NonZeroU32>, job: &NewJob) -> Job {
        let limits = TenantLimits { retention_days, ..TenantLimits::uncapped() };
        let credits = Credits::new(store.clone(), None, Default::default()).with_limits(limits);
        let registry = Registry::new().with(ForgetOldProjects::new(credits));
        let worker = Worker::new(registry, DynamoStorage::new(store.clone()), Settings::default());
        let delivery = Delivery { tenant_id: job.tenant, job_id: job.id };
        assert_eq!(Box::pin(worker.work(delivery, None)).await.expect("works"), Worked::Success);
        Jobs::new(store, job.tenant).get(job.id).await.expect("exists")
    }

    async fn pending(store: &Store, tenant: TenantId) -> Vec<Job> {
        let jobs = Jobs::new(store, tenant).list(&own_cursors(), None, None).await.expect("listed");
        let is_next = |job: &Job| job.job_type == ForgetOldProjects::TYPE && job.status == JobStatus::Pending;
        jobs.items.into_iter().filter(is_next).collect()
    }

    #[tokio::test]
    async fn the_job_comes_back_every_day_until_the_tenant_has_no_conversations() {
        let store = sequent_tables::testing::store().await;
        let tenant = TenantId::new();
        let now = Timestamp::now();
        let projects = Projects::new(&store, tenant);
        let name = ProjectName::new("x").expect("a name");
        let old = projects.create(UserId::new(), name, now - DAY * 31).await.expect("created");
        let month = NonZeroU32::new(30);
        let first = ForgetOldProjects::job(tenant, now);
        enqueue(&store, &first, now).await.expect("enqueued");
        let done = work(&store, month, &first).await;
        assert_eq!(done.result.as_deref(), Some("The deletion of 1 projects was enqueued."));
        assert!(matches!(projects.get(old.id).await, Err(Error::ProjectNotFound)));
        let next = pending(&store, tenant).await;
        let [next] = &next[..] else { panic!("one job for tomorrow: {next:?}") };
        assert!(next.not_before.is_some_and(|at| at >= now + DAY), "{next:?}");

        let last = ForgetOldProjects::job(tenant, now + DAY * 2);
        enqueue(&store, &last, now).await.expect("enqueued");
        work(&store, month, &last).await;
        assert_eq!(pending(&store, tenant).await.len(), 1, "the conversation is gone, and so is the series");
    }

    #[tokio::test]
    async fn without_a_retention_the_job_does_nothing_and_does_not_come_back() {
        let store = sequent_tables::testing::store().await;
        let tenant = TenantId::new();
        let now = Timestamp::now();
        let name = ProjectName::new("x").expect("a name");
        let old = Projects::new(&store, tenant).create(UserId::new(), name, now - DAY * 999).await;
        let job = ForgetOldProjects::job(tenant, now);
        enqueue(&store, &job, now).await.expect("enqueued");
        work(&store, None, &job).await;
        Projects::new(&store, tenant).get(old.expect("created").id).await.expect("kept");
        assert!(pending(&store, tenant).await.is_empty());
    }
}
