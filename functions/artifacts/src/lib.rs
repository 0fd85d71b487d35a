//! Artifacts over HTTP: what runs and people have kept, its bytes, and uploads.
//!
//! Thin: each handler parses, authorises, asks [`sequent_artifacts`] and renders. Bytes do not pass through here: they
//! are read and written at the bucket, by links that are signed for some minutes. What a browser could carry out is
//! never given out to be shown, except by the preview origin, which knows no cookie.

mod artifact;
mod export;
mod list;
mod manifest;
mod preview;
mod upload;

use std::sync::Arc;

use axum::Router;
use sequent_artifacts::{Artifacts, Error, PreviewKeys};
use sequent_http::{Problem, openapi};
use sequent_identity::Vault;
use sequent_tables::Store;
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the handlers share.
#[derive(Clone)]
pub struct Kept {
    artifacts: Artifacts,
    store: Store,
    vault: Vault,
    previews: PreviewKeys,
    /// Where previews are served.
    preview_url: Arc<str>,
}

impl Kept {
    /// The artifacts of a deployment. Lists are paged with keys in `vault`; previews are at `preview_url`, under addresses
    /// sealed with `previews`.
    #[must_use]
    pub fn new(
        artifacts: Artifacts,
        store: Store,
        vault: Vault,
        (previews, preview_url): (PreviewKeys, &str),
    ) -> Self {
        Self { artifacts, store, vault, previews, preview_url: preview_url.trim_end_matches('/').into() }
    }
}

/// The function's routes.
pub fn router(kept: Kept) -> Router {
    routed().split_for_parts().0.with_state(kept)
}

/// The function's part of the API's document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter<Kept> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(list::list))
        .routes(routes!(list::entities))
        .routes(routes!(upload::offer))
        .routes(routes!(upload::complete))
        .routes(routes!(artifact::get, artifact::delete))
        .routes(routes!(artifact::content))
        .routes(routes!(preview::preview))
        .routes(routes!(manifest::manifest))
        .routes(routes!(export::create))
}

/// What a caller is told when an operation fails.
fn problem(error: Error) -> Problem {
    match error {
        Error::NotFound => Problem::not_found("There is no such artifact."),
        Error::Invalid(invalid) => {
            let pointer = format!("/{}", invalid.field);
            Problem::invalid("The artifact cannot be described so.").at(&pointer, invalid.why)
        }
        Error::NotUploaded => Problem::conflict("not_uploaded", "The bytes have not been uploaded."),
        Error::Mismatch(what) => {
            let detail = format!("The {what} of what was uploaded is not the one announced.");
            Problem::conflict("upload_mismatch", detail).with("mismatch", what)
        }
        Error::Bundle(why) => Problem::invalid(format!("The archive cannot be opened: {why}.")),
        Error::Cursor(error) => error.into(),
        Error::Data(error) => error.into(),
        error => Problem::unavailable(error),
    }
}
