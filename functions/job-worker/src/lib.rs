//! The jobs of the `job-worker` function: every job type that needs little memory. Its queue also carries the messages about
//! schedules that are due.

mod schedules;

use sequent_artifacts::Artifacts;
use sequent_billing::Credits;
use sequent_conversation::{
    ForgetOldProjects, NameProject, RebuildProjections, RebuildStatistics, SettleRun,
};
use sequent_deletion::{DeleteAccount, DeleteConversation};
use sequent_deliverables::{BindCitations, ExtractEntities, GenerateCompanionReport};
use sequent_jobs::{Registry, kinds};
use sequent_mail::{SendMail, Ses};
use sequent_model::Client;
use sequent_payments::{Payments, ReconcileStripe, ReportUsage, SyncStripe};
use sequent_runlog::Settings;
use sequent_traces::{Collector, ExportTrace};

pub use schedules::DueSchedules;

/// Returns all job types except exports. To add one, implement its [`JobKind`](sequent_jobs::JobKind) and
/// list it here.
#[must_use]
pub fn registry(
    models: Option<Client>,
    artifacts: &Artifacts,
    credits: Credits,
    payments: Option<Payments>,
    ses: Option<Ses>,
    collector: Option<Collector>,
    settings: Settings,
) -> Registry {
    Registry::new()
        .with(kinds::HelloWorld)
        .with(kinds::CleanupOldJobs)
        .with(GenerateCompanionReport::new(artifacts.clone(), models.clone()))
        .with(ExtractEntities::new(artifacts.clone(), models.clone()))
        .with(BindCitations(artifacts.clone()))
        .with(NameProject::new(models, credits.clone()))
        .with(ForgetOldProjects::new(credits))
        .with(DeleteConversation::new(artifacts.clone(), settings))
        .with(DeleteAccount::new(artifacts.clone()))
        .with(SendMail::new(ses))
        .with(ExportTrace::new(collector))
        .with(RebuildProjections)
        .with(RebuildStatistics)
        .with(SettleRun)
        .with(SyncStripe(payments.clone()))
        .with(ReportUsage(payments.clone()))
        .with(ReconcileStripe(payments))
}
