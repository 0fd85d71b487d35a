//! Links to the preview origin.

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_artifacts::{Bundle, Previewed};
use sequent_core::{ArtifactId, Timestamp};
use sequent_http::{Caller, Json, Path, Problem, Scope, openapi::Problems};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Kept, problem};

/// Where an artifact can be seen, for a while.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Preview {
    /// On an origin of its own, where no cookie of the API is sent and no script reaches anything. Whoever knows the
    /// address can see the artifact.
    url: String,
    /// Until when.
    expires_at: Timestamp,
}

/// Preview an artifact.
///
/// An address under which a browser shows it: a page, an image, or an archive of a website with its `index.html`. What it
/// shows is not trusted: it runs in a sandbox without an origin, and cannot connect to anything. An archive with entries
/// that lead out of it, or that would unpack to too much, is refused.
#[utoipa::path(
    post,
    path = "/api/artifacts/{id}/preview",
    operation_id = "preview_artifact",
    tag = "artifacts",
    params(("id" = ArtifactId, Path, description = "The artifact.")),
    responses(
        (status = 201, description = "The address.", body = Preview),
        (status = 404, description = "The tenant has no such artifact."),
        (status = 422, description = "It is an archive that cannot be opened."),
        Problems
    ),
)]
pub(crate) async fn preview(
    State(kept): State<Kept>,
    Caller(caller): Caller,
    Path(id): Path<ArtifactId>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ArtifactsRead)?;
    let artifact = kept.artifacts.get(caller.tenant, id).await.map_err(problem)?;
    let previewed = Previewed::of(caller.tenant, &artifact, Timestamp::now());
    if previewed.is_bundle() {
        let bytes = kept.artifacts.bytes(caller.tenant, &artifact, Bundle::LARGEST).await.map_err(problem)?;
        Bundle::open(bytes).map_err(|error| problem(error.into()))?;
    }
    let key = kept.previews.get().await.map_err(Problem::unavailable)?;
    let token = key.seal(&previewed);
    let preview =
        Preview { url: format!("{}/{token}/", kept.preview_url), expires_at: previewed.expires_at() };
    Ok((StatusCode::CREATED, Json(preview)))
}
