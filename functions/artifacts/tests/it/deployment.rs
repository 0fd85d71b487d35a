//! The function with an artifact and a run.

use std::ops::Deref;

use sequent_artifacts::{Artifact, Artifacts, Description, Origin, PreviewKeys, testing::bucket};
use sequent_artifacts_function::{App, router};
use sequent_conversation::{NewRun, RunStore, TurnRequest, cancel, create};
use sequent_core::{ArtifactId, ProjectId, Timestamp};
use sequent_event::CancelReason;
use sequent_http::testing::deployment::{self as testing, Person};
use sequent_jobs::cancel as cancel_job;
use sequent_runlog::{DynamoStorage, LogKey, Settings};

/// The artifact in the golden events.
pub(crate) const ARTIFACT: &str = "art_01K9Z3V5C4D3E2F1G0H9J8K7M6";
/// The run in the golden events.
pub(crate) const RUN: &str = "run_01K9Z3TB6W1X2Y3Z4A5B6C7D8E";

pub(crate) struct Deployment {
    function: testing::Deployment,
    pub(crate) artifacts: Artifacts,
}

impl Deref for Deployment {
    type Target = testing::Deployment;

    fn deref(&self) -> &Self::Target {
        &self.function
    }
}

impl Deployment {
    pub(crate) async fn new() -> Self {
        let (bucket, _) = bucket().await;
        let mut artifacts = None;
        let function = testing::Deployment::new("artifacts", |store, vault| {
            let ours = artifacts.insert(Artifacts::new(store.clone(), bucket));
            let previews = PreviewKeys::fixed("a key for tests".into());
            let url = "https://preview.example.com/";
            router(App::new(ours.clone(), store.clone(), vault.clone(), previews, url))
        })
        .await;
        Self { function, artifacts: artifacts.unwrap() }
    }

    /// Stores the artifact of the golden events.
    pub(crate) async fn save(&self, of: &Person, media_type: &str, bytes: &[u8]) -> Artifact {
        let id: ArtifactId = ARTIFACT.parse().unwrap();
        let description = Description {
            title: "Q3 report".to_owned(),
            entity_type: "report".to_owned(),
            tags: vec!["q3".to_owned()],
            media_type: media_type.to_owned(),
        };
        let origin = Origin { run: Some(RUN.parse().unwrap()), ..Origin::default() };
        self.artifacts.save(of.tenant(), id, description, origin, bytes.to_vec().into()).await.unwrap()
    }

    /// Ends a job without a result.
    pub(crate) async fn end_job(&self, of: &Person, id: &str) {
        let storage = DynamoStorage::new(self.store().clone());
        let ended = cancel_job(&storage, of.tenant(), id.parse().unwrap(), "by a test", Timestamp::now());
        Box::pin(ended).await.unwrap();
    }

    /// Stores the run of the golden events. Returns its project.
    pub(crate) async fn create_run(&self, of: &Person) -> ProjectId {
        let project = ProjectId::new();
        let new = NewRun {
            run: RUN.parse().unwrap(),
            new_project: true,
            ..NewRun::new(of.tenant(), of.user(), project, "Write the report")
        };
        create(&self.runs(), &new, TurnRequest::Claim).await.unwrap();
        project
    }

    /// Ends the run, so that an export of it does not change.
    pub(crate) async fn end_run(&self, of: &Person) {
        let key = LogKey { tenant: of.tenant(), run: RUN.parse().unwrap() };
        let runs = self.runs();
        Box::pin(cancel(&runs, key, None, CancelReason::Requested)).await.unwrap();
    }

    fn runs(&self) -> RunStore {
        RunStore::new(DynamoStorage::new(self.store().clone()), Settings::default())
    }
}
