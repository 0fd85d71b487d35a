//! Reading and deleting one artifact.

use axum::{extract::State, response::IntoResponse};
use http::{HeaderValue, StatusCode, header};
use sequent_artifacts::Artifact;
use sequent_core::ArtifactId;
use sequent_http::{Caller, Json, Path, Problem, openapi::Problems};

use crate::App;

/// Get an artifact.
///
/// Returns its description. Its bytes are at `/content`.
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
pub(crate) async fn get_artifact(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<ArtifactId>,
) -> Result<Json<Artifact>, Problem> {
    Ok(Json(app.artifacts.get(caller.tenant, id).await?))
}

/// Delete an artifact.
///
/// The entities that were found in it are deleted, too. Its bytes are deleted later, unless another artifact
/// has the same bytes.
#[utoipa::path(
    delete,
    path = "/api/artifacts/{id}",
    operation_id = "delete_artifact",
    tag = "artifacts",
    params(("id" = ArtifactId, Path, description = "The artifact.")),
    responses(
        (status = 204, description = "The artifact is deleted."),
        (status = 404, description = "The tenant has no such artifact."),
        Problems
    ),
)]
pub(crate) async fn delete_artifact(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<ArtifactId>,
) -> Result<StatusCode, Problem> {
    app.artifacts.delete(caller.tenant, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get the bytes of an artifact.
///
/// Redirects to an address from which the bytes can be downloaded for five minutes, whole or by `Range`.
/// Types that a browser would execute, such as HTML, are sent as `application/octet-stream`; create a preview
/// to see them.
#[utoipa::path(
    get,
    path = "/api/artifacts/{id}/content",
    operation_id = "get_artifact_content",
    tag = "artifacts",
    params(("id" = ArtifactId, Path, description = "The artifact.")),
    responses(
        (status = 302, description = "The address of the bytes.", headers(("Location" = String, description = "The address."))),
        (status = 404, description = "The tenant has no such artifact."),
        Problems
    ),
)]
pub(crate) async fn get_artifact_content(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<ArtifactId>,
) -> Result<impl IntoResponse, Problem> {
    let artifact = app.artifacts.get(caller.tenant, id).await?;
    let link = app.artifacts.link(caller.tenant, &artifact).await?;
    let location = HeaderValue::try_from(link.url).map_err(Problem::internal)?;
    Ok((StatusCode::FOUND, [(header::LOCATION, location)]))
}
