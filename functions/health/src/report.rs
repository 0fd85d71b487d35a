//! What callers are told.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// The health of a deployment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Report {
    /// `ok` if every check is.
    status: Status,
    /// Each dependency by name: `main_table`, `events_table`, `secret`, `origin_secret` where a CDN stands in front,
    /// and `model`.
    checks: BTreeMap<&'static str, Check>,
}

/// Whether something works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// It does.
    Ok,
    /// It does not.
    Failing,
}

/// One dependency.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Check {
    status: Status,
    /// How long it took to answer.
    latency_ms: u64,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    /// The provider of models that answers by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'static str>,
    /// No model is behind that provider: its answers are a labelled stand-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    demo: Option<bool>,
}

impl Report {
    pub(crate) fn new(checks: BTreeMap<&'static str, Check>) -> Self {
        let ok = checks.values().all(|check| check.status == Status::Ok);
        Self { status: if ok { Status::Ok } else { Status::Failing }, checks }
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.status == Status::Ok
    }
}

impl Check {
    pub(crate) fn new(latency_ms: u64, wrong: Option<&'static str>) -> Self {
        let status = if wrong.is_none() { Status::Ok } else { Status::Failing };
        Self { status, latency_ms, detail: wrong, provider: None, demo: None }
    }

    pub(crate) fn model(self, provider: &'static str, demo: bool) -> Self {
        Self { provider: Some(provider), demo: Some(demo), ..self }
    }
}
