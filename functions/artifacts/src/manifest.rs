//! What a run has made.

use axum::{extract::State, response::IntoResponse};
use sequent_artifacts::Artifact;
use sequent_conversation::{Error, Runs};
use sequent_core::RunId;
use sequent_http::{Caller, Json, Path, Principal, Problem, Scope, openapi::Problems};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Kept, problem};

/// Most artifacts of a manifest; with all their fields they are within what a function may answer.
const MOST: usize = 2_000;

/// What a run has made.
#[derive(Serialize, ToSchema)]
pub(crate) struct Manifest {
    /// The run.
    run_id: RunId,
    /// Its artifacts, oldest first.
    items: Vec<Artifact>,
    /// These are all. Page through `GET /api/artifacts?run=` where they are not.
    complete: bool,
}

/// Get a run's manifest.
///
/// Every artifact that the run has made so far.
#[utoipa::path(
    get,
    path = "/api/runs/{id}/manifest",
    operation_id = "get_run_manifest",
    tag = "artifacts",
    params(("id" = RunId, Path, description = "The run.")),
    responses(
        (status = 200, description = "The manifest.", body = Manifest),
        (status = 404, description = "The tenant has no such run."),
        Problems
    ),
)]
pub(crate) async fn manifest(
    State(kept): State<Kept>,
    Caller(caller): Caller,
    Path(run_id): Path<RunId>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::ArtifactsRead)?;
    must_have(&kept, &caller, run_id).await?;
    let (items, complete) = kept.artifacts.of_run(caller.tenant, run_id, MOST).await.map_err(problem)?;
    Ok(Json(Manifest { run_id, items, complete }))
}

/// Holds the request to a run that the caller's tenant has.
pub(crate) async fn must_have(kept: &Kept, caller: &Principal, run: RunId) -> Result<(), Problem> {
    match Runs::new(&kept.store, caller.tenant).get(run).await {
        Ok(_) => Ok(()),
        Err(Error::NotFound) => Err(Problem::not_found("There is no such run.")),
        Err(Error::Data(error)) => Err(error.into()),
        Err(error) => Err(Problem::unavailable(error)),
    }
}
