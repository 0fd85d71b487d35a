//! What a run that was asked for a document does beyond answering.
//!
//! A run with a `deliverable_type` is not done when its model has answered: it has to have called the tool of that type
//! ([`tools`]), whose arguments are the document. What follows a document is the work of jobs: a website is packed and
//! gets a report that goes with it; a report has its claims bound to the sources that the run cited, and the names in it
//! collected. The agent decides from the log which of that is still to be done, so that any process can go on with it.

mod ask;
mod bind;
mod citations;
mod companion;
mod entities;
mod write;

pub use citations::{BindCitations, CitationsInput};
pub use companion::{CompanionInput, GenerateCompanionReport};
pub use entities::{EntitiesInput, ExtractEntities};
pub use write::{tool_name, tools};

use sequent_artifacts::{Artifacts, Error as ArtifactError};
use sequent_core::{ArtifactId, TenantId};
use sequent_documents::{Document, Kind, limits};
use sequent_event::State;
use sequent_jobs::Failed;

/// The document that a run is to deliver, if this build knows such documents. Children work for their parent's.
#[must_use]
pub fn wanted(state: &State) -> Option<Kind> {
    let name = state.configuration.deliverable_type.as_deref().filter(|_| state.parent.is_none())?;
    Kind::ALL.into_iter().find(|kind| kind.as_str() == name)
}

/// A document that is kept as an artifact.
async fn read(artifacts: &Artifacts, tenant: TenantId, id: ArtifactId) -> Result<Document, Failed> {
    let artifact = artifacts.get(tenant, id).await.map_err(failed)?;
    let bytes = artifacts.bytes(tenant, &artifact, limits::WEBSITE_BYTES as u64).await.map_err(failed)?;
    Document::parse(&bytes).map_err(|why| Failed::Poison(format!("The artifact is no document: {why}")))
}

fn failed(error: ArtifactError) -> Failed {
    match error {
        ArtifactError::NotFound => Failed::Poison("The document is gone.".to_owned()),
        ArtifactError::Description(invalid) => Failed::Poison(invalid.to_string()),
        error => Failed::retry(error),
    }
}
