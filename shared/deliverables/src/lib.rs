//! Documents that runs deliver: the tools that write them, and the jobs that follow them.
//!
//! A run with a `deliverable_type` is not finished when its model has answered: the model must also call the
//! tool of that type ([`tools`]), whose arguments are the document. Jobs process the document afterwards. A
//! website is packed and gets a companion report. The claims of a report are bound to the sources that the
//! run cited, and the entities that it names are extracted. The agent decides from the log which of this is
//! still to be done, so any process can continue.

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
use sequent_documents::{Document, DocumentKind, limits};
use sequent_event::State;
use sequent_jobs::Failed;

/// Returns the kind of document that a run has to deliver, if this build knows the kind. Child runs deliver
/// none: they work for their parent's document.
#[must_use]
pub fn wanted(state: &State) -> Option<DocumentKind> {
    let name = state.configuration.deliverable_type.as_deref().filter(|_| state.parent.is_none())?;
    DocumentKind::ALL.into_iter().find(|kind| kind.as_str() == name)
}

/// Reads a document from an artifact.
async fn read(artifacts: &Artifacts, tenant: TenantId, id: ArtifactId) -> Result<Document, Failed> {
    let artifact = artifacts.get(tenant, id).await.map_err(failed)?;
    let bytes = artifacts.bytes(tenant, &artifact, limits::WEBSITE_BYTES as u64).await.map_err(failed)?;
    Document::parse(&bytes)
        .map_err(|error| Failed::Poison(format!("The artifact is not a document: {error}")))
}

fn failed(error: ArtifactError) -> Failed {
    match error {
        ArtifactError::NotFound => Failed::Poison("The document does not exist any more.".to_owned()),
        ArtifactError::Description(invalid) => Failed::Poison(invalid.to_string()),
        error => Failed::retry(error),
    }
}
