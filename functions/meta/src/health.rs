//! The health report: each dependency of the deployment, and whether it answers.
//!
//! The report is public. It contains only names, times and the kind of a failure, and an instance checks its
//! dependencies at most once in [`FRESH`].

mod check;
mod dependencies;
mod report;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_http::{Json, openapi};
use tokio::sync::Mutex;

pub use dependencies::Dependencies;
use report::HealthReport;

use crate::App;

/// Time for which a report is served before the dependencies are checked again.
pub const FRESH: Duration = Duration::from_secs(5);
/// Time limit for the response of a dependency.
pub const LIMIT: Duration = Duration::from_secs(2);

/// The dependencies and the last report.
pub(crate) struct Health {
    dependencies: Dependencies,
    last: Mutex<Option<(Instant, Arc<HealthReport>)>>,
}

impl Health {
    pub(crate) fn new(dependencies: Dependencies) -> Self {
        Self { dependencies, last: Mutex::default() }
    }

    /// Returns a report that is at most [`FRESH`] old. Requests that arrive during a check wait for its
    /// result.
    async fn report(&self) -> Arc<HealthReport> {
        let mut last = self.last.lock().await;
        if let Some((at, report)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return Arc::clone(report);
        }
        let report = Arc::new(HealthReport::new(Box::pin(self.dependencies.check()).await));
        *last = Some((Instant::now(), Arc::clone(&report)));
        report
    }
}

/// Get the health report.
///
/// Checks every dependency at once and gives each two seconds to answer. The model provider is not called;
/// the report names the one that the settings name. A report may be five seconds old.
#[utoipa::path(
    get,
    path = "/api/health",
    operation_id = "get_health",
    tag = "meta",
    security(()),
    responses(
        (status = 200, description = "Every dependency answers.", body = HealthReport),
        (status = 503, description = "At least one dependency fails. `checks` names it.", body = HealthReport),
        openapi::Problems
    ),
)]
pub(crate) async fn get_health(State(app): State<App>) -> impl IntoResponse {
    let report = app.health.report().await;
    let status = if report.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}
