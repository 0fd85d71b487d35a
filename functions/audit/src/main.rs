//! The `audit` function: looks for work that is stuck and for credits that do not add up.

use std::time::{Duration, SystemTime};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use sequent_audit::Auditor;
use sequent_audit_function::{AuditEvent, AuditResult, audit};
use sequent_core::{Timestamp, setting};
use sequent_runlog::DynamoStorage;
use sequent_tables::Store;
use sequent_telemetry::metric;

/// The audit stops this long before the timeout. The rows of one page are compared in this time.
const MARGIN: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    sequent_telemetry::init();
    let store = Store::from_env(&sequent_aws::config())?;
    let stack = &setting::required("STACK")?;
    let auditor = &Auditor::new(DynamoStorage::new(store));
    lambda_runtime::run(service_fn(move |event: LambdaEvent<AuditEvent>| async move {
        let stop_at = event.context.deadline() - MARGIN;
        let has_time = || SystemTime::now() < stop_at;
        let result = audit(auditor, event.payload, Timestamp::now(), has_time).await;
        publish(&result, stack);
        // What was found is published first: a failure must not hide it.
        match result.failure {
            Some(failure) => Err(Error::from(failure)),
            None => Ok::<AuditResult, Error>(result),
        }
    }))
    .await
}

/// Logs each finding, and publishes their number and the completeness of the audit.
fn publish(result: &AuditResult, stack: &str) {
    let report = &result.report;
    for finding in &report.findings {
        tracing::error!(
            kind = %finding.kind, tenant = %finding.tenant, subject = finding.subject, reason = finding.reason,
            repair = finding.repair, "something is stuck or does not add up"
        );
    }
    if result.parts == 0 && result.failure.is_none() {
        tracing::error!(
            rows = report.rows,
            "the time was too short for one part of the table; raise the timeout"
        );
    }
    tracing::info!(
        parts = result.parts,
        rows = report.rows,
        compared = report.compared,
        unchecked = report.unchecked,
        findings = report.count(),
        "audited the tables"
    );
    metric::count("AuditFindings", result.alarming(), stack);
}
