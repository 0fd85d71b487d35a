//! One artifact.

use axum::{extract::State, response::IntoResponse};
use http::{HeaderValue, StatusCode, header};
use sequent_artifacts::Artifact;
use sequent_core::ArtifactId;
use sequent_http::{Caller, Json, Path, Problem, Scope, openapi::Problems};

use crate::{Kept, problem};

/// Get an artifact.
///
/// What it is; its bytes are at `/content`.
#[utoipa::path(
    get,
    path = "/api/artifacts/{id}",
    operation_id = "get_artifact",
    tag = "artifacts",
    params(("id" = ArtifactId, Path, description = "The artifact.")),
    responses(
        (status = 200, description = "The artifact.", body = Artifact),
        (status = 404, description = "The tenant has no such artifact."),
        Problems
    ),
)]
pub(crate) async fn get(
    State(kept): State<Kept>,
    Caller(caller): Caller,
    Path(id): Path<ArtifactId>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ArtifactsRead)?;
    kept.artifacts.get(caller.tenant, id).await.map(Json).map_err(problem)
}

/// Delete an artifact.
///
/// Its bytes are deleted later, unless another artifact has the same.
#[utoipa::path(
    delete,
    path = "/api/artifacts/{id}",
    operation_id = "delete_artifact",
    tag = "artifacts",
    params(("id" = ArtifactId, Path, description = "The artifact.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "The tenant has no such artifact."),
        Problems
    ),
)]
pub(crate) async fn delete(
    State(kept): State<Kept>,
    Caller(caller): Caller,
    Path(id): Path<ArtifactId>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ArtifactsWrite)?;
    kept.artifacts.delete(caller.tenant, id).await.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get an artifact's bytes.
///
/// Redirects to an address that gives them, whole or by `Range`, for five minutes, as a file to save. Types that a
/// browser would carry out, such as HTML, are given as `application/octet-stream`; to see them, ask for a preview.
#[utoipa::path(
    get,
    path = "/api/artifacts/{id}/content",
    operation_id = "get_artifact_content",
    tag = "artifacts",
    params(("id" = ArtifactId, Path, description = "The artifact.")),
    responses(
        (status = 302, description = "Where the bytes are.", headers(("Location" = String, description = "The address."))),
        (status = 404, description = "The tenant has no such artifact."),
        Problems
    ),
)]
pub(crate) async fn content(
    State(kept): State<Kept>,
    Caller(caller): Caller,
    Path(id): Path<ArtifactId>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ArtifactsRead)?;
    let artifact = kept.artifacts.get(caller.tenant, id).await.map_err(problem)?;
    let link = kept.artifacts.link(caller.tenant, &artifact).await.map_err(problem)?;
    let location = HeaderValue::try_from(link.url).map_err(Problem::internal)?;
    Ok((StatusCode::FOUND, [(header::LOCATION, location)]))
}
