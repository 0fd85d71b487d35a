//! Artifacts over HTTP: their descriptions and bytes, uploads, previews, exports, and the manifest of a run.
//!
//! Thin: each handler parses, authorises, calls [`sequent_artifacts`] and renders. Bytes do not pass through
//! this function. Clients read and write them at the bucket, with links that are signed for some minutes.
//! Content that a browser could execute is shown only on the preview origin, which has no cookies.

mod artifact;
mod export;
mod list;
mod manifest;
mod preview;
mod upload;

use std::sync::Arc;

use axum::{Extension, Router};
use sequent_artifacts::{Artifacts, PreviewKeys};
use sequent_http::{Scope, openapi, rate_limit::Class, scoped};
use sequent_identity::Vault;
use sequent_tables::Store;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    artifacts: Artifacts,
    store: Store,
    /// Has the key of the cursors.
    vault: Vault,
    previews: PreviewKeys,
    preview_url: Arc<str>,
}

impl App {
    /// Makes the state. Addresses of previews begin with `preview_url` and are sealed with `previews`.
    #[must_use]
    pub fn new(
        artifacts: Artifacts,
        store: Store,
        vault: Vault,
        previews: PreviewKeys,
        preview_url: &str,
    ) -> Self {
        Self { artifacts, store, vault, previews, preview_url: preview_url.trim_end_matches('/').into() }
    }
}

/// The routes of the function.
pub fn router(app: App) -> Router {
    routed().split_for_parts().0.with_state(app)
}

/// The function's part of the API description.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter<App> {
    let exports = scoped(&[Scope::ArtifactsWrite], routes!(export::create_export));
    OpenApiRouter::with_openapi(openapi::base())
        .routes(scoped(&[Scope::ArtifactsRead], routes!(list::list_artifacts)))
        .routes(scoped(&[Scope::ArtifactsRead], routes!(list::list_entities)))
        .routes(scoped(&[Scope::ArtifactsWrite], routes!(upload::create_upload)))
        .routes(scoped(&[Scope::ArtifactsWrite], routes!(upload::complete_upload)))
        .routes(scoped(&[Scope::ArtifactsRead], routes!(artifact::get_artifact)))
        .routes(scoped(&[Scope::ArtifactsWrite], routes!(artifact::delete_artifact)))
        .routes(scoped(&[Scope::ArtifactsRead], routes!(artifact::get_artifact_content)))
        .routes(scoped(&[Scope::ArtifactsRead], routes!(preview::create_preview)))
        .routes(scoped(&[Scope::ArtifactsRead], routes!(manifest::get_run_manifest)))
        .routes(exports.layer(Extension(Class::Chat)))
}
