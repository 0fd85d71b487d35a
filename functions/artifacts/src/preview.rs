//! Addresses of the preview origin.

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_artifacts::{Bundle, Previewed};
use sequent_core::{ArtifactId, Timestamp};
use sequent_http::{Caller, Json, Path, Problem, RequestContext, openapi::Problems};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;

/// An address that shows an artifact for ten minutes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Preview {
    /// The address. It has an origin of its own, to which no cookie of the API is sent and from which no
    /// script reaches the API. Every person who knows the address can see the artifact.
    url: String,
    expires_at: Timestamp,
}

/// Preview an artifact.
///
/// Returns an address at which a browser shows the artifact: a page, an image, or an archive of a website
/// with its `index.html`. The content is not trusted: it runs in a sandbox without an origin, in a frame that stays on the
/// preview origin, and can send nothing to other hosts. An archive with entries that lead out of it, or that would unpack to too many
/// bytes, is refused.
#[utoipa::path(
    post,
    path = "/api/artifacts/{id}/preview",
    operation_id = "create_preview",
    tag = "artifacts",
    params(("id" = ArtifactId, Path, description = "The artifact.")),
    responses(
        (status = 201, description = "The address.", body = Preview),
        (status = 404, description = "The tenant has no such artifact."),
        (status = 422, description = "The artifact is an archive that cannot be opened."),
        Problems
    ),
)]
pub(crate) async fn create_preview(
    State(app): State<App>,
    Caller(caller): Caller,
    context: RequestContext,
    Path(id): Path<ArtifactId>,
) -> Result<impl IntoResponse, Problem> {
    let artifact = app.artifacts.get(caller.tenant, id).await?;
    let previewed = Previewed::of(caller.tenant, &artifact, context.public_origin(), Timestamp::now());
    if previewed.is_bundle() {
        Bundle::open(app.artifacts.bytes(caller.tenant, &artifact, Bundle::LARGEST).await?)?;
    }
    let token = app.previews.get().await?.seal(&previewed);
    let url = format!("{}/{token}/", app.preview_url);
    Ok((StatusCode::CREATED, Json(Preview { url, expires_at: previewed.expires_at() })))
}
