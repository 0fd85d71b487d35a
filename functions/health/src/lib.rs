//! Whether everything this deployment depends on answers, and what does not.
//!
//! Open to anyone, so it tells names and times and nothing else, and an instance asks its dependencies at most once in
//! [`FRESH`]. It is not held to the CDN's secret either: it must be able to say that the secrets are what fails.

mod check;
mod dependencies;
mod report;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_http::{Json, openapi};
use tokio::sync::Mutex;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use dependencies::Dependencies;
use report::Report;

/// How long a report is repeated before the dependencies are asked again.
pub const FRESH: Duration = Duration::from_secs(5);
/// How long a dependency may take to answer.
pub const LIMIT: Duration = Duration::from_secs(2);

/// What the handler keeps: the dependencies and the last report.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    dependencies: Dependencies,
    last: Mutex<Option<(Instant, Arc<Report>)>>,
}

impl Health {
    /// The health of these dependencies; nothing is asked yet.
    #[must_use]
    pub fn new(dependencies: Dependencies) -> Self {
        Self(Arc::new(Inner { dependencies, last: Mutex::default() }))
    }

    /// The report, at most [`FRESH`] old. Whoever asks while the dependencies are being asked waits for that answer.
    async fn report(&self) -> Arc<Report> {
        let mut last = self.0.last.lock().await;
        if let Some((at, report)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return Arc::clone(report);
        }
        let report = Arc::new(Report::new(Box::pin(self.0.dependencies.ask()).await));
        *last = Some((Instant::now(), Arc::clone(&report)));
        report
    }
}

/// The function's routes.
pub fn router(health: Health) -> Router {
    routed().split_for_parts().0.with_state(health)
}

/// The function's part of the API's document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter<Health> {
    OpenApiRouter::with_openapi(openapi::base()).routes(routes!(health))
}

/// Is everything well.
///
/// Asks every dependency at once, with two seconds for each to answer. The model provider is not called: the report
/// says which one is configured.
#[utoipa::path(
    get,
    path = "/api/health",
    operation_id = "get_health",
    tag = "meta",
    security(()),
    responses(
        (status = 200, description = "Every dependency answers.", body = Report),
        (status = 503, description = "At least one does not: `checks` says which.", body = Report),
        openapi::Problems
    ),
)]
async fn health(State(health): State<Health>) -> impl IntoResponse {
    let report = health.report().await;
    let status = if report.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}
