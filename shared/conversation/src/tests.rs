//! Runs of a project against real tables.

mod branches;
mod cancelling;
mod children;
mod contended;
mod trees;
mod turns;

use sequent_core::{InterruptId, ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_event::{Body, Interrupt, Question, Reason, RunOutcome};
use sequent_runlog::{DynamoStorage, Finish, LogKey, Settings, Writer};
use sequent_tables::{
    Update,
    testing::{self, Faults},
};

use crate::{
    Error, NewRun, Project, ProjectName, Projects, Run, RunStatus, RunStore, Runs, TurnRequest, claim,
    create, finish,
};

/// A project of a tenant in tables of its own.
pub(crate) struct Bench {
    pub(crate) runs: RunStore,
    pub(crate) faults: Faults,
    pub(crate) tenant: TenantId,
    pub(crate) project: ProjectId,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let (store, faults) = testing::faulty_store().await;
        let tenant = TenantId::new();
        let name = ProjectName::new("tides").expect("a name");
        let project = Projects::new(&store, tenant).create(UserId::new(), name, Timestamp::now()).await;
        let runs = RunStore::new(DynamoStorage::new(store), settings);
        Self { runs, faults, tenant, project: project.expect("created").id }
    }

    pub(crate) fn key(&self, run: RunId) -> LogKey {
        LogKey { tenant: self.tenant, run }
    }

    /// Creates a pending run with this message.
    pub(crate) async fn create(&self, content: &str, turn: TurnRequest) -> Result<Run, Error> {
        let new = NewRun::new(self.tenant, UserId::new(), self.project, content);
        create(&self.runs, &new, turn).await?;
        self.run(new.run).await
    }

    pub(crate) async fn run(&self, run: RunId) -> Result<Run, Error> {
        Runs::new(self.runs.tables(), self.tenant).get(run).await
    }

    pub(crate) async fn status(&self, run: &Run) -> RunStatus {
        self.run(run.id).await.expect("the run exists").status
    }

    pub(crate) async fn project(&self) -> Project {
        Projects::new(self.runs.tables(), self.tenant).get(self.project).await.expect("the project exists")
    }

    /// Changes the project's row as no operation does.
    pub(crate) async fn damage_project(&self, change: impl FnOnce(Update) -> Update) {
        let update = change(Update::of(&sequent_tables::key::project(self.tenant, self.project)));
        self.runs.tables().write(update).await.expect("written");
    }

    pub(crate) async fn claim(&self, run: &Run) -> Option<Box<Writer<DynamoStorage>>> {
        claim(&self.runs, self.key(run.id), run, None).await.expect("the table works")
    }

    /// Ends an execution with `outcome`.
    pub(crate) async fn finish(&self, writer: &Writer<DynamoStorage>, run: &Run, outcome: RunOutcome) {
        let parent_run_id = None;
        let started = Body::RunStarted { thread_id: self.project, run_id: run.id, parent_run_id };
        let mut bodies = vec![started];
        if let RunOutcome::Interrupt { interrupts } = &outcome {
            bodies.extend(interrupts.iter().map(|asked| Body::ClarificationNeeded {
                interrupt_id: asked.id,
                question: asked.question.clone(),
            }));
        }
        bodies.push(Body::RunFinished { thread_id: self.project, run_id: run.id, outcome });
        let known = *writer.signals().borrow();
        let finished = finish(writer, self.tenant, run, known, bodies).await.expect("the run can end");
        assert!(matches!(finished, Finish::Done(_)), "{finished:?}");
    }

    /// Executes a pending run until it asks a person. Returns the question.
    pub(crate) async fn interrupt(&self, run: &Run) -> InterruptId {
        let writer = self.claim(run).await.expect("the run has no owner");
        let question = Question {
            reason: Reason::Question,
            message: "Which harbour?".to_owned(),
            tool_call_id: None,
            call: None,
            response_schema: None,
            expires_at: Some(Timestamp::now() + std::time::Duration::from_secs(7 * 24 * 3600)),
        };
        let interrupt = Interrupt { id: InterruptId::new(), question };
        let id = interrupt.id;
        self.finish(&writer, run, RunOutcome::Interrupt { interrupts: vec![interrupt] }).await;
        id
    }
}
