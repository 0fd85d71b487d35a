//! Works on the small jobs: every type of job that needs little memory is listed here.

use sequent_jobs::{Registry, kinds};
use sequent_model::Client;
use sequent_project::NameProject;
use sequent_run::RebuildProjections;

/// Every type of job there is but exports. A new one is declared by its [`Kind`](sequent_jobs::Kind) and listed here.
#[must_use]
pub fn registry(models: Option<Client>) -> Registry {
    Registry::new()
        .with(kinds::HelloWorld)
        .with(kinds::CleanupOldJobs)
        .with(NameProject::new(models))
        .with(RebuildProjections)
}
