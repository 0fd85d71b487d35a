//! Jobs that this function enqueues. They belong to the deployment, so a tenant does not see them among its jobs.

use sequent_core::{JobId, TenantId};
use sequent_jobs::{NewJob, Queue};
use serde::Serialize;

/// A job of the deployment.
///
/// # Panics
/// Never: the inputs are plain data.
pub(crate) fn deployment_job(job_type: &str, job_key: Option<String>, input: &impl Serialize) -> NewJob {
    NewJob {
        tenant: TenantId::SYSTEM,
        id: JobId::new(),
        job_type: job_type.to_owned(),
        job_key,
        queue: Queue::Jobs,
        internal: false,
        input: serde_json::to_value(input).expect("the input is plain data"),
        about: None,
        run: None,
        tool_call_id: None,
    }
}
