//! Tables, a bucket and a worker, and the search for a word in all of them.

use std::time::Duration;

use sequent_artifacts::{
    Artifacts,
    testing::{Objects, bucket},
};
use sequent_billing::{Ledger, Markup, Plans, Quote, Reservation, Terms};
use sequent_conversation::{Deletion, Projects, RunStore};
use sequent_core::{MicroCredits, MicroUsd, ProjectId, TenantId, Timestamp};
use sequent_deletion::{DeleteAccount, DeleteConversation};
use sequent_jobs::{Delivery, Job, Jobs, Registry, Worked, Worker};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::{
    Item, Store, key,
    testing::{self, Faults},
};

/// A word that is part of everything that the conversation contains.
pub(crate) const WORD: &str = "xylophone";

pub(crate) struct Bench {
    pub(crate) storage: DynamoStorage,
    pub(crate) artifacts: Artifacts,
    pub(crate) objects: Objects,
    pub(crate) faults: Faults,
    pub(crate) tenant: TenantId,
    worker: Worker,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let (store, faults) = testing::faulty_store().await;
        let (bucket, objects) = bucket().await;
        let storage = DynamoStorage::new(store.clone());
        let artifacts = Artifacts::new(store, bucket);
        let kinds = Registry::new()
            .with(DeleteConversation::new(artifacts.clone(), Settings::default()))
            .with(DeleteAccount::new(artifacts.clone()));
        // A killed attempt is soon taken over.
        let impatient = Settings { lease: Duration::from_millis(300), ..Settings::default() };
        let worker = Worker::new(kinds, storage.clone(), impatient);
        Self { storage, artifacts, objects, faults, tenant: TenantId::new(), worker }
    }

    pub(crate) fn store(&self) -> &Store {
        self.storage.store()
    }

    pub(crate) fn runs(&self) -> RunStore {
        RunStore::new(self.storage.clone(), Settings::default())
    }

    pub(crate) fn projects(&self) -> Projects<'_> {
        Projects::new(self.store(), self.tenant)
    }

    pub(crate) async fn reservation(&self) -> Box<Reservation> {
        let terms = Terms {
            plans: Plans::from_json(r#"{"free": {"concurrent_runs": 10, "per_run": 9000}}"#).unwrap(),
            markup: Markup(100),
            usual_hold: MicroCredits(6000),
            welcome: MicroCredits(500_000),
            unverified_usd: None,
            metered: false,
        };
        let quote = Quote { model: None, fallbacks: &[], first_call: MicroUsd(1), budget: None };
        let ledger = Ledger::new(self.store().clone(), self.tenant);
        Box::new(ledger.reserve(&terms, quote, Timestamp::now()).await.unwrap())
    }

    /// The message of the job that deletes the project.
    pub(crate) async fn delivery(&self, project: ProjectId) -> Delivery {
        let claim = key::job_key(self.tenant, Deletion::TYPE, &Deletion { project_id: project }.key());
        let claim: serde_json::Value = self.store().get(&claim).await.unwrap().expect("the job is enqueued");
        Delivery { tenant_id: self.tenant, job_id: claim["job_id"].as_str().unwrap().parse().unwrap() }
    }

    pub(crate) async fn work(&self, delivery: Delivery) -> Worked {
        Box::pin(self.worker.work(delivery, None)).await.unwrap()
    }

    /// Makes an attempt that is killed after some requests to the database. Returns `true` if it came to its end before.
    pub(crate) async fn work_until_killed(&self, delivery: Delivery, requests: u64) -> bool {
        let end = self.faults.calls() + requests;
        let killed = async {
            while self.faults.calls() < end {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            worked = Box::pin(self.worker.work(delivery, None)) => matches!(worked, Ok(Worked::Success)),
            () = killed => false,
        }
    }

    pub(crate) async fn job(&self, delivery: Delivery) -> Job {
        Jobs::new(self.store(), self.tenant).get(delivery.job_id).await.unwrap()
    }

    /// Deletes the objects that nothing refers to, as the collector does a day later.
    pub(crate) async fn collect(&self) {
        let later = Timestamp::now() + Duration::from_secs(60);
        self.artifacts.collect(later, || true).await.unwrap();
    }

    /// Returns the rows and segments that contain the word.
    pub(crate) async fn places(&self) -> Vec<String> {
        let mut rows = testing::all_rows(self.store()).await;
        rows.extend(testing::all_segments(self.store()).await);
        rows.iter().filter(|row| format!("{row:?}").to_lowercase().contains(WORD)).map(place).collect()
    }
}

fn place(row: &Item) -> String {
    let names = ["pk", "sk", "run", "seq"];
    names.iter().filter_map(|name| Some(format!("{name}={:?} ", row.get(*name)?))).collect()
}
