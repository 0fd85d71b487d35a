//! The function with a job that has failed.

use std::ops::Deref;

use sequent_core::{JobId, RunId, TenantId, Timestamp};
pub(crate) use sequent_http::testing::deployment::{Person, request};
use sequent_http::testing::{Event, deployment as testing};
use sequent_jobs::{
    Delivery, NewJob, Registry, Worker, enqueue,
    kinds::{HelloInput, HelloWorld},
};
use sequent_jobs_function::{App, router};
use sequent_runlog::{DynamoStorage, Settings};
use serde_json::json;

/// The job in the golden events.
pub(crate) const JOB: &str = "job_01K9Z3TB6W1X2Y3Z4A5B6C7D8E";

pub(crate) struct Deployment {
    function: testing::Deployment,
    storage: DynamoStorage,
}

impl Deref for Deployment {
    type Target = testing::Deployment;

    fn deref(&self) -> &Self::Target {
        &self.function
    }
}

impl Deployment {
    pub(crate) async fn new() -> Self {
        let function = testing::Deployment::new("jobs", |store, vault| {
            router(App::new(DynamoStorage::new(store.clone()), vault.clone()))
        })
        .await;
        let storage = DynamoStorage::new(function.store().clone());
        Self { function, storage }
    }

    /// Stores the job of the golden events and makes it fail.
    pub(crate) async fn failed_job(&self, of: &Person) {
        self.fail(of, None).await;
    }

    /// As [`failed_job`](Self::failed_job), for a job of a run.
    pub(crate) async fn failed_job_of_run(&self, of: &Person) {
        self.fail(of, Some(RunId::new())).await;
    }

    /// Stores a job of the tenant that serves the deployment.
    pub(crate) async fn internal_job(&self, of: &Person) {
        let new = NewJob { internal: true, ..NewJob::of::<HelloWorld>(of.tenant(), &HelloInput::default()) };
        enqueue(self.storage.store(), &new, Timestamp::now()).await.unwrap();
    }

    async fn fail(&self, of: &Person, run: Option<RunId>) {
        let new = NewJob {
            id: JOB.parse().unwrap(),
            job_type: "from_the_future".to_owned(),
            // One member, because DynamoDB does not keep the order of several.
            input: json!({"name": "Ada"}),
            run,
            ..NewJob::of::<HelloWorld>(of.tenant(), &HelloInput::default())
        };
        enqueue(self.storage.store(), &new, Timestamp::now()).await.unwrap();
        self.work(of.tenant(), new.id).await;
    }

    /// Lets a worker attempt the job.
    pub(crate) async fn work(&self, tenant_id: TenantId, job_id: JobId) {
        let registry = Registry::new().with(HelloWorld);
        let worker = Worker::new(registry, self.storage.clone(), Settings::default());
        Box::pin(worker.work(Delivery { tenant_id, job_id }, None)).await.unwrap();
    }
}

/// The golden event of a case, with this person's credential.
pub(crate) fn golden(case: &str, of: &Person) -> Event {
    testing::golden("jobs", case, of)
}
