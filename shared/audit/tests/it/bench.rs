//! Runs in every state, and the audit of what a test has broken.

use std::time::Duration;

use sequent_audit::{AuditReport, Auditor, FindingKind, Walk};
use sequent_conversation::{NewRun, RunStore, Runs, TurnRequest, create, create_claimed, finish};
use sequent_core::{InterruptId, JobId, ProjectId, TenantId, Timestamp, UserId};
use sequent_event::{Body, Interrupt, Question, Reason, RunOutcome};
use sequent_runlog::{DynamoStorage, LogKey, Settings, Writer};
use sequent_tables::{Store, Update, key};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) struct Bench {
    pub(crate) storage: DynamoStorage,
    pub(crate) tenant: TenantId,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::on(sequent_tables::testing::store().await)
    }

    pub(crate) fn on(store: Store) -> Self {
        Self { storage: DynamoStorage::new(store), tenant: TenantId::new() }
    }

    pub(crate) fn store(&self) -> &Store {
        self.storage.store()
    }

    pub(crate) fn runs(&self) -> RunStore {
        RunStore::new(self.storage.clone(), Settings::default())
    }

    pub(crate) fn new_run(&self) -> NewRun {
        let project = ProjectId::new();
        NewRun { new_project: true, ..NewRun::new(self.tenant, UserId::new(), project, "When is high tide?") }
    }

    pub(crate) async fn pending(&self) -> NewRun {
        let new = self.new_run();
        create(&self.runs(), &new, TurnRequest::Claim).await.unwrap();
        new
    }

    pub(crate) async fn running(&self) -> (NewRun, Box<Writer<DynamoStorage>>) {
        let new = self.new_run();
        let owner = Box::pin(create_claimed(&self.runs(), &new, None)).await.unwrap();
        (new, owner)
    }

    /// A run that waits for the answer to a question, which expires after a day.
    pub(crate) async fn interrupted(&self) -> NewRun {
        let (new, owner) = self.running().await;
        let question = Question {
            reason: Reason::Question,
            message: "Which harbour?".to_owned(),
            tool_call_id: None,
            call: None,
            response_schema: None,
            expires_at: Some(Timestamp::now() + 24 * HOUR),
        };
        let interrupt = Interrupt { id: InterruptId::new(), question: question.clone() };
        owner.append(Body::ClarificationNeeded { interrupt_id: interrupt.id, question }).await.unwrap();
        self.end(&new, &owner, RunOutcome::Interrupt { interrupts: vec![interrupt] }).await;
        new
    }

    pub(crate) async fn ended(&self) -> NewRun {
        let (new, owner) = self.running().await;
        self.end(&new, &owner, RunOutcome::Success).await;
        new
    }

    pub(crate) async fn end(&self, new: &NewRun, owner: &Writer<DynamoStorage>, outcome: RunOutcome) {
        let end = Body::RunFinished { thread_id: new.project, run_id: new.run, outcome };
        let row = Runs::new(self.store(), self.tenant).get(new.run).await.unwrap();
        let known = *owner.signals().borrow();
        finish(owner, self.tenant, &row, known, vec![end]).await.unwrap();
        // No worker runs the job that names the project.
        self.store().delete(&key::job(self.tenant, JobId::from_bits(new.run.bits()))).await.unwrap();
    }

    /// An update of the run's row.
    pub(crate) fn row(&self, new: &NewRun) -> Update {
        Update::of(&key::run(self.tenant, new.run))
    }

    pub(crate) async fn update(&self, update: Update) {
        self.store().write(update).await.unwrap();
    }

    /// Returns the kinds of the findings as of some time from now, sorted.
    pub(crate) async fn found(&self, after: Duration) -> Vec<FindingKind> {
        self.found_at(Timestamp::now() + after).await
    }

    pub(crate) async fn found_at(&self, now: Timestamp) -> Vec<FindingKind> {
        let report = Auditor::new(self.storage.clone()).audit_all(now).await.unwrap();
        let mut kinds: Vec<FindingKind> = report.findings.iter().map(|finding| finding.kind).collect();
        kinds.sort_unstable();
        kinds
    }

    /// Audits one page after the other, each with a walk that was stopped and goes on.
    pub(crate) async fn found_in_steps(&self, mut walk: Walk, now: Timestamp) -> Vec<String> {
        let auditor = Auditor::new(self.storage.clone());
        let mut found = Vec::new();
        while !walk.is_done() {
            let pages = std::cell::Cell::new(0);
            let one_page = || pages.replace(pages.get() + 1) == 0;
            let mut report = AuditReport::default();
            auditor.audit(&mut walk, now, one_page, &mut report).await.unwrap();
            found.extend(report.findings.into_iter().map(|finding| finding.subject));
        }
        found
    }
}

pub(crate) fn log_key(new: &NewRun) -> LogKey {
    LogKey { tenant: new.tenant, run: new.run }
}
