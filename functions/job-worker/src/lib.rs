//! Works on the small jobs: every type of job that needs little memory is listed here.

use sequent_artifacts::Artifacts;
use sequent_conversation::RebuildProjections;
use sequent_conversation::{ForgetOldProjects, NameProject};
use sequent_deliverables::{BindCitations, ExtractEntities, GenerateCompanionReport};
use sequent_jobs::{Registry, kinds};
use sequent_model::Client;
use sequent_payments::{Payments, ReconcileStripe, ReportUsage, SyncStripe};

/// Every type of job there is but exports. A new one is declared by its [`JobKind`](sequent_jobs::JobKind) and listed here.
#[must_use]
pub fn registry(models: Option<Client>, artifacts: &Artifacts, payments: Option<Payments>) -> Registry {
    Registry::new()
        .with(kinds::HelloWorld)
        .with(kinds::CleanupOldJobs)
        .with(GenerateCompanionReport::new(artifacts.clone(), models.clone()))
        .with(ExtractEntities::new(artifacts.clone(), models.clone()))
        .with(BindCitations(artifacts.clone()))
        .with(NameProject::new(models))
        .with(ForgetOldProjects)
        .with(RebuildProjections)
        .with(SyncStripe(payments.clone()))
        .with(ReportUsage(payments.clone()))
        .with(ReconcileStripe(payments))
}
