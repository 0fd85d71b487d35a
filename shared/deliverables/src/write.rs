//! The tools with which a model delivers a document: `write_report`, `write_slides`, `write_website`.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use sequent_artifacts::{Artifacts, Description, Error, Origin, derived_id};
use sequent_core::Scope;
use sequent_documents::{Document, DocumentKind};
use sequent_tool::{Call, Effect, Error as ToolError, Handler, Output, Tool, ToolKind};
use serde_json::{Value, json};

/// The scope that the caller of a run needs to save artifacts.
const SCOPE: Scope = Scope::ArtifactsWrite;

/// Returns the name of the tool that delivers a `kind`.
#[must_use]
pub const fn tool_name(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Report => "write_report",
        DocumentKind::Slides => "write_slides",
        DocumentKind::Website => "write_website",
    }
}

/// Returns the description, for models, of the tool that delivers a `kind`.
#[must_use]
pub(crate) const fn description(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Report => {
            "Delivers the complete report. Texts may contain **bold**, *italic*, `code`, [words](https://address) and \
             citations [^id] of the sources that the report lists, but no HTML."
        }
        DocumentKind::Slides => {
            "Delivers all slides. Texts may contain **bold**, *italic*, `code` and [words](https://address), but no HTML."
        }
        DocumentKind::Website => {
            "Delivers the website with all its files, each complete. It is shown in a sandbox without network access, so \
             it must contain everything it needs: styles, scripts and images are files of their own."
        }
    }
}

/// Returns the tools that deliver documents, one for each kind.
#[must_use]
pub fn tools(artifacts: &Artifacts) -> [Tool; 3] {
    DocumentKind::ALL.map(|kind| {
        let write = Write { artifacts: artifacts.clone(), kind };
        let handler = ToolKind::Runs(Arc::new(write));
        Tool {
            // The id of the artifact is derived from the call.
            idempotent: true,
            scope: Some(SCOPE),
            ..Tool::new(tool_name(kind), description(kind), Document::schema(kind), handler)
        }
    })
}

struct Write {
    artifacts: Artifacts,
    kind: DocumentKind,
}

impl Handler for Write {
    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Output, ToolError>> {
        self.write(call).boxed()
    }
}

impl Write {
    async fn write(&self, mut call: Call<'_>) -> Result<Output, ToolError> {
        let document = checked(self.kind, call.arguments.take()).map_err(ToolError::Refused)?;
        let id = derived_id(call.run, &call.idempotency_key);
        let origin = Origin { run: Some(call.run), tool_call: Some(call.id.to_owned()), ..Origin::default() };
        let saved = self.artifacts.save(
            call.tenant,
            id,
            described(&document, &[]),
            origin,
            document.to_json().into(),
        );
        let artifact = saved.await.map_err(tool_error)?;
        let content = json!({"artifact_id": artifact.id, "delivered": self.kind});
        Ok(Output { content: content.to_string(), effects: vec![Effect::Saved(artifact.event())] })
    }
}

/// Checks the document that a model has written.
///
/// # Errors
/// A text for the model: the rules that the document breaks.
pub(crate) fn checked(kind: DocumentKind, written: Value) -> Result<Document, String> {
    match Document::from_value(written) {
        Ok(document) if document.kind() == kind => Ok(document),
        Ok(document) => Err(format!("The document must be a {kind}, but it is a {}.", document.kind())),
        Err(invalid) => {
            Err(format!("The document is not valid. Correct these problems and write it again:\n{invalid}"))
        }
    }
}

/// Describes a document as an artifact.
pub(crate) fn described(document: &Document, tags: &[&str]) -> Description {
    let line: String =
        document.title().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    Description {
        title: if line.trim().is_empty() { document.kind().to_string() } else { line },
        entity_type: document.kind().to_string(),
        tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        media_type: "application/json".to_owned(),
    }
}

fn tool_error(error: Error) -> ToolError {
    match error {
        Error::Description(invalid) => ToolError::Refused(format!("The {invalid}.")),
        Error::Taken => ToolError::Refused("This call has already delivered another document.".to_owned()),
        error => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not save a document; the call is retried"
            );
            ToolError::Unavailable("The document could not be saved. Try again.".to_owned())
        }
    }
}
