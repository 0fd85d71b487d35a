//! Uploads, which go to the bucket directly.

use std::collections::BTreeMap;

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_artifacts::{Artifact, Description, Digest, LARGEST, Link, Offer, Origin, Upload};
use sequent_conversation::Runs;
use sequent_core::{ArtifactId, RunId, UserId};
use sequent_http::{Caller, Json, Path, Problem, openapi::Problems};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::App;

/// The announcement of an upload.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUpload {
    /// SHA-256 of the bytes.
    sha256: Digest,
    /// Number of bytes: 1 to 268,435,456.
    #[schema(minimum = 1, maximum = 268_435_456)]
    size: u64,
    /// The title, in one line.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    title: String,
    /// Media type of the bytes, such as `application/pdf`, in lower case. Its only parameter can be `; charset=utf-8`.
    #[schema(max_length = 100, pattern = "^[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+(; charset=utf-8)?$")]
    media_type: String,
    /// Kind of content, such as `report`.
    #[serde(default = "file")]
    #[schema(pattern = "^[a-z0-9_.:-]{1,64}$", default = "file")]
    entity_type: String,
    /// Words to find the artifact by.
    #[serde(default)]
    #[schema(value_type = Vec<Tag>, max_items = 10)]
    tags: Vec<String>,
    /// The run to which the artifact belongs.
    #[serde(default)]
    run_id: Option<RunId>,
}

/// A word to find an artifact by.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[a-z0-9_.:-]{1,64}$")]
#[expect(dead_code, reason = "only the schema is used: the domain checks the text")]
struct Tag(String);

fn file() -> String {
    "file".to_owned()
}

/// The next step of an upload.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadOffer {
    /// Id of the upload, and later of the artifact.
    id: ArtifactId,
    /// The artifact, if the tenant has these bytes already. Nothing is left to do then.
    artifact: Option<Artifact>,
    /// Otherwise the request that uploads the bytes. Complete the upload after it.
    put: Option<UploadRequest>,
}

/// A signed request that works once, for five minutes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadRequest {
    method: String,
    url: String,
    /// Headers that the request must have, with exactly these values.
    headers: BTreeMap<String, String>,
}

/// Create an upload.
///
/// Returns a signed request that uploads exactly the announced bytes, by digest, length and type, to the
/// bucket. The artifact is created when the upload is completed. If the tenant has the bytes already, nothing
/// needs to be uploaded.
#[utoipa::path(
    post,
    path = "/api/artifacts/uploads",
    operation_id = "create_upload",
    tag = "artifacts",
    request_body = NewUpload,
    responses(
        (status = 201, description = "The next step.", body = UploadOffer),
        (status = 404, description = "The tenant has no such run."),
        Problems
    ),
)]
pub(crate) async fn create_upload(
    State(app): State<App>,
    Caller(caller): Caller,
    Json(new): Json<NewUpload>,
) -> Result<impl IntoResponse, Problem> {
    if !(1..=LARGEST).contains(&new.size) {
        let rule = format!("must be 1 to {LARGEST}");
        return Err(Problem::invalid("The upload has a size that is not allowed.").at("/size", rule));
    }
    if let Some(run) = new.run_id {
        Runs::new(&app.store, caller.tenant).get_for_caller(run).await?;
    }
    let offer = app.artifacts.offer(caller.tenant, new.into_upload(caller.user)).await?;
    Ok((StatusCode::CREATED, Json(UploadOffer::from(offer))))
}

/// Complete an upload.
///
/// Compares digest, length and type of the object in the bucket with the announcement, and creates the
/// artifact. The request may be repeated. An upload can be completed for an hour.
#[utoipa::path(
    post,
    path = "/api/artifacts/uploads/{id}/complete",
    operation_id = "complete_upload",
    tag = "artifacts",
    params(("id" = ArtifactId, Path, description = "The upload.")),
    responses(
        (status = 200, description = "The artifact.", body = Artifact),
        (status = 404, description = "The tenant has no such upload."),
        (status = 409, description = "No bytes were uploaded (`not_uploaded`), or other bytes (`upload_mismatch`)."),
        Problems
    ),
)]
pub(crate) async fn complete_upload(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<ArtifactId>,
) -> Result<Json<Artifact>, Problem> {
    Ok(Json(app.artifacts.complete(caller.tenant, id).await?))
}

impl NewUpload {
    fn into_upload(self, user: UserId) -> Upload {
        let Self { sha256, size, title, media_type, entity_type, tags, run_id } = self;
        Upload {
            sha256,
            size,
            description: Description { title, entity_type, tags, media_type },
            origin: Origin { run: run_id, user: Some(user), ..Origin::default() },
        }
    }
}

impl From<Offer> for UploadOffer {
    fn from(offer: Offer) -> Self {
        match offer {
            Offer::Stored(artifact) => Self { id: artifact.id, artifact: Some(artifact), put: None },
            Offer::Put(id, Link { method, url, headers }) => {
                Self { id, artifact: None, put: Some(UploadRequest { method, url, headers }) }
            }
        }
    }
}
