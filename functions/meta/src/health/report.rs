//! The report as callers see it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// The health of a deployment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthReport {
    /// `ok` if every check is `ok`.
    status: HealthStatus,
    /// The dependencies by name: `main_table`, `events_table`, `secret`, `model`, and `origin_secret` if the
    /// deployment has a CDN.
    checks: BTreeMap<&'static str, HealthCheck>,
}

/// The state of a dependency or of the whole deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HealthStatus {
    Ok,
    Failing,
}

/// The check of one dependency.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthCheck {
    status: HealthStatus,
    /// Time until the answer, in milliseconds.
    latency_ms: u64,
    /// The kind of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    /// The provider that answers if a request names no model, if the settings of the deployment name one.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'static str>,
    /// `true` if the provider is the labelled stand-in that needs no model.
    #[serde(skip_serializing_if = "Option::is_none")]
    demo: Option<bool>,
}

impl HealthReport {
    pub(crate) fn new(checks: BTreeMap<&'static str, HealthCheck>) -> Self {
        let ok = checks.values().all(|check| check.status == HealthStatus::Ok);
        Self { status: if ok { HealthStatus::Ok } else { HealthStatus::Failing }, checks }
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.status == HealthStatus::Ok
    }
}

impl HealthCheck {
    /// The check of a dependency that answered, or failed as `detail` describes.
    pub(crate) fn new(latency_ms: u64, detail: Option<&'static str>) -> Self {
        let status = if detail.is_none() { HealthStatus::Ok } else { HealthStatus::Failing };
        Self { status, latency_ms, detail, provider: None, demo: None }
    }

    pub(crate) fn with_provider(self, provider: &'static str, demo: bool) -> Self {
        Self { provider: Some(provider), demo: Some(demo), ..self }
    }
}
