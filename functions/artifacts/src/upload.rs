//! Uploads, which go to the bucket directly.

use std::collections::BTreeMap;

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_artifacts::{Artifact, Description, Digest, LARGEST, Link, Offer, Origin, Upload};
use sequent_core::{ArtifactId, RunId};
use sequent_http::{Caller, Json, Path, Problem, Scope, openapi::Problems};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Kept, manifest::must_have, problem};

/// Bytes to upload, and what they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUpload {
    /// SHA-256 of the bytes.
    sha256: Digest,
    /// How many bytes: 1 to 268,435,456.
    #[schema(minimum = 1, maximum = 268_435_456)]
    size: u64,
    /// What they are called, in one line.
    #[schema(min_length = 1, max_length = 200)]
    title: String,
    /// Their media type, such as `application/pdf`.
    #[schema(max_length = 100)]
    media_type: String,
    /// What they are.
    #[serde(default = "file")]
    #[schema(pattern = "^[a-z0-9_.:-]{1,64}$", default = "file")]
    entity_type: String,
    /// Words to find them by.
    #[serde(default)]
    #[schema(max_items = 10)]
    tags: Vec<String>,
    /// The run they belong to.
    #[serde(default)]
    run_id: Option<RunId>,
}

fn file() -> String {
    "file".to_owned()
}

/// What is left to do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Offered {
    /// The upload, and later the artifact.
    id: ArtifactId,
    /// The artifact, if the tenant had these bytes: then nothing is left to do.
    artifact: Option<Artifact>,
    /// Otherwise the request that uploads them; complete the upload after it.
    put: Option<Put>,
}

/// A request that works for five minutes, once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Put {
    /// Its method.
    method: String,
    /// Its address.
    url: String,
    /// Headers it must have, with exactly these values.
    headers: BTreeMap<String, String>,
}

/// Offer an upload.
///
/// Gives a request that uploads exactly the announced bytes, by digest, length and type, past the API. The artifact
/// appears when the upload is completed. Bytes that the tenant has already need no upload.
#[utoipa::path(
    post,
    path = "/api/artifacts/uploads",
    operation_id = "create_upload",
    tag = "artifacts",
    request_body = NewUpload,
    responses(
        (status = 201, description = "What is left to do.", body = Offered),
        (status = 404, description = "The tenant has no such run."),
        Problems
    ),
)]
pub(crate) async fn offer(
    State(kept): State<Kept>,
    Caller(caller): Caller,
    Json(new): Json<NewUpload>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ArtifactsWrite)?;
    if !(1..=LARGEST).contains(&new.size) {
        let detail = format!("must be 1 to {LARGEST}");
        return Err(Problem::invalid("The bytes cannot be taken.").at("/size", detail));
    }
    if let Some(run) = new.run_id {
        must_have(&kept, &caller, run).await?;
    }
    let NewUpload { sha256, size, title, media_type, entity_type, tags, run_id } = new;
    let origin = Origin { run: run_id, user: Some(caller.user), ..Origin::default() };
    let upload =
        Upload { sha256, size, description: Description { title, entity_type, tags, media_type }, origin };
    let offered = match kept.artifacts.offer(caller.tenant, upload).await.map_err(problem)? {
        Offer::Stored(artifact) => Offered { id: artifact.id, artifact: Some(artifact), put: None },
        Offer::Put(id, Link { method, url, headers }) => {
            Offered { id, artifact: None, put: Some(Put { method, url, headers }) }
        }
    };
    Ok((StatusCode::CREATED, Json(offered)))
}

/// Complete an upload.
///
/// The bucket is asked for digest, length and type of what is there; if they are those announced, the artifact appears.
/// May be repeated. An upload can be completed for an hour.
#[utoipa::path(
    post,
    path = "/api/artifacts/uploads/{id}/complete",
    operation_id = "complete_upload",
    tag = "artifacts",
    params(("id" = ArtifactId, Path, description = "The upload.")),
    responses(
        (status = 200, description = "The artifact.", body = Artifact),
        (status = 404, description = "The tenant has no such upload."),
        (status = 409, description = "Nothing was uploaded (`not_uploaded`), or something else (`upload_mismatch`)."),
        Problems
    ),
)]
pub(crate) async fn complete(
    State(kept): State<Kept>,
    Caller(caller): Caller,
    Path(id): Path<ArtifactId>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ArtifactsWrite)?;
    kept.artifacts.complete(caller.tenant, id).await.map(Json).map_err(problem)
}
