//! Becoming the one that works on a job, and staying it.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_core::{JobId, TenantId, Timestamp};
use sequent_tables::{Change, Error as DataError, Store, classify, key};

use crate::{Error, Job, Progressed, Status, row::attribute};

/// What became of an attempt to work on a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The caller works on it now, under the row's `attempt`.
    Won(Box<Job>),
    /// Somebody else does, or was first.
    Held,
    /// Its next attempt may not begin before this.
    NotYet(Timestamp),
    /// It has ended.
    Ended,
    /// There is no such job.
    Missing,
}

/// Takes the job if it waits, or if whoever took it has shown no sign of life for as long as its lease was.
///
/// # Errors
/// When the table fails.
pub async fn claim(
    store: &Store,
    tenant: TenantId,
    id: JobId,
    now: Timestamp,
    lease: Duration,
) -> Result<Claim, Error> {
    let Some(job) = store.get::<Job>(&key::job(tenant, id)).await? else { return Ok(Claim::Missing) };
    match job.status {
        Status::Success | Status::Error => return Ok(Claim::Ended),
        Status::Pending => {
            if let Some(at) = job.not_before.filter(|at| *at > now) {
                return Ok(Claim::NotYet(at));
            }
        }
        Status::Running => {
            if job.lease_until.is_some_and(|until| until > now) {
                return Ok(Claim::Held);
            }
        }
    }
    let claimed = job.claimed(now, lease);
    let change = job.change_to(&claimed, now);
    if write(store, tenant, id, change).await? { Ok(Claim::Won(Box::new(claimed))) } else { Ok(Claim::Held) }
}

/// Renews the attempt's lease and says how far it has come. False: the job is another's, or has ended.
///
/// # Errors
/// When the table fails.
pub async fn renew(
    store: &Store,
    tenant: TenantId,
    job: &Job,
    until: Timestamp,
    progress: Option<&Progressed>,
) -> Result<bool, Error> {
    let index = key::active_job(job.id, until);
    let change = Change {
        update: "SET lease_until = :until, #progress = :progress, gsi2pk = :pk, gsi2sk = :sk".to_owned(),
        condition: Some("#status = :running AND attempt = :mine".to_owned()),
        names: vec![("#status", "status"), ("#progress", "progress")],
        values: vec![
            (":until", attribute(&until)),
            (":progress", attribute(&progress)),
            (":running", attribute(&Status::Running)),
            (":mine", attribute(&job.attempt)),
            (":pk", Value::S(index.pk().to_owned())),
            (":sk", Value::S(index.sk().to_owned())),
        ],
    };
    write(store, tenant, job.id, change).await
}

/// Makes a change of a job's row. False: its condition does not hold.
pub(crate) async fn write(store: &Store, tenant: TenantId, id: JobId, change: Change) -> Result<bool, Error> {
    let mut request = store
        .client()
        .update_item()
        .table_name(&*store.tables().main)
        .set_key(Some(key::job(tenant, id).attributes()))
        .update_expression(change.update)
        .set_condition_expression(change.condition);
    for (name, of) in change.names {
        request = request.expression_attribute_names(name, of);
    }
    for (name, value) in change.values {
        request = request.expression_attribute_values(name, value);
    }
    match request.send().await.map_err(classify) {
        Ok(_) => Ok(true),
        Err(DataError::Conflict(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
