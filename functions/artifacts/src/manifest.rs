//! The manifest of a run.

use axum::extract::State;
use sequent_artifacts::{Artifact, RunArtifacts};
use sequent_conversation::Runs;
use sequent_core::RunId;
use sequent_http::{Caller, Json, Path, Problem, openapi::Problems};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;

/// Most artifacts of a manifest. That many, with all fields, fit into one response of Lambda.
const MOST: usize = 2_000;

/// The artifacts of a run.
#[derive(Serialize, ToSchema)]
pub(crate) struct Manifest {
    run_id: RunId,
    /// The artifacts of the run, oldest first.
    items: Vec<Artifact>,
    /// False if the run has more than 2,000 artifacts. Page through `GET /api/artifacts?run=` then.
    complete: bool,
}

/// Get the manifest of a run.
///
/// Lists every artifact that the run has created until now.
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
pub(crate) async fn get_run_manifest(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(run_id): Path<RunId>,
) -> Result<Json<Manifest>, Problem> {
    Runs::new(&app.store, caller.tenant).get_for_caller(run_id).await?;
    let RunArtifacts { items, is_complete } = app.artifacts.of_run(caller.tenant, run_id, MOST).await?;
    Ok(Json(Manifest { run_id, items, complete: is_complete }))
}
