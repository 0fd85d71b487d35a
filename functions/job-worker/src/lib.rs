//! The jobs of the `job-worker` function: every job type that needs little memory. Its queue also carries the messages about
//! schedules that are due, and those with events that webhooks are still to be told.

mod events;
mod schedules;

use sequent_artifacts::Artifacts;
use sequent_billing::Credits;
use sequent_conversation::{
    ForgetOldProjects, NameProject, RebuildProjections, RebuildStatistics, SettleRun, naming::Namer,
};
use sequent_definitions::ServicePrompts;
use sequent_deletion::{DeleteAccount, DeleteConversation};
use sequent_deliverables::{BindCitations, ExtractEntities, GenerateCompanionReport};
use sequent_jobs::{Registry, kinds};
use sequent_mail::{SendMail, Ses};
use sequent_model::Client;
use sequent_payments::{Payments, ReconcileStripe, ReportUsage, SyncStripe};
use sequent_runlog::Settings;
use sequent_traces::{Collector, ExportTrace};
use sequent_webhooks::{CompareCredits, DeliverWebhook};

pub use events::LateEvents;
pub use schedules::DueSchedules;

/// The clients and settings that jobs need. Jobs of what is `None` fail, or do without it.
#[derive(Debug)]
#[expect(missing_docs, reason = "plain data")]
pub struct JobDependencies {
    pub models: Option<Client>,
    pub prompts: ServicePrompts,
    pub artifacts: Artifacts,
    pub credits: Credits,
    pub payments: Option<Payments>,
    pub ses: Option<Ses>,
    pub collector: Option<Collector>,
    pub webhooks: DeliverWebhook,
    pub settings: Settings,
}

/// Returns all job types except exports. To add one, implement its [`JobKind`](sequent_jobs::JobKind) and
/// list it here.
#[must_use]
pub fn registry(dependencies: JobDependencies) -> Registry {
    let JobDependencies { models, prompts, artifacts, credits, payments, ses, collector, webhooks, settings } =
        dependencies;
    let mail = SendMail::new(ses);
    let namer = Namer::new(models.clone(), prompts.clone());
    Registry::new()
        .with(kinds::HelloWorld)
        .with(kinds::CleanupOldJobs)
        .with(GenerateCompanionReport::new(artifacts.clone(), models.clone(), prompts.clone()))
        .with(ExtractEntities::new(artifacts.clone(), models, prompts))
        .with(BindCitations(artifacts.clone()))
        .with(NameProject::new(namer, credits.clone()))
        .with(ForgetOldProjects::new(credits))
        .with(DeleteConversation::new(artifacts.clone(), settings))
        .with(DeleteAccount::new(artifacts))
        .with(mail.notices())
        .with(mail)
        .with(ExportTrace::new(collector))
        .with(webhooks)
        .with(CompareCredits)
        .with(RebuildProjections)
        .with(RebuildStatistics)
        .with(SettleRun)
        .with(SyncStripe(payments.clone()))
        .with(ReportUsage(payments.clone()))
        .with(ReconcileStripe(payments))
}
