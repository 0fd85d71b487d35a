//! Room for the jobs of a tenant, where the workers of a kind are few: one tenant must not occupy all of them.
//!
//! A row of the tenant names its jobs of the kind that have not ended. The transaction that enqueues a job adds it, on
//! condition that there is room. Ended jobs are removed when a job finds no room, so the end of a job costs nothing.

use std::collections::BTreeMap;

use sequent_core::{JobId, TenantId, Timestamp};
use sequent_tables::{Error as DataError, Key, Row, Store, Update, Write, attribute, exists, key};
use serde::{Deserialize, Serialize};

use crate::{Enqueued, Error, Job, NewJob, enqueue::enqueue_in};

/// Attempts to find room, each of which fails only because another job was first.
const ATTEMPTS: u32 = 4;

/// The row of the jobs that have not ended, as far as it is known.
#[derive(Debug, Default, Serialize, Deserialize)]
struct LiveJobs {
    live: BTreeMap<JobId, bool>,
}

/// As [`enqueue_about`](crate::enqueue_about), if the tenant has fewer than `limit` live jobs of the type. A job that exists
/// needs no room.
///
/// # Errors
/// [`Error::NoRoom`], [`Error::NoSubject`], or an error of the table.
pub async fn enqueue_within(
    store: &Store,
    new: &NewJob,
    limit: u32,
    subject: Write,
    now: Timestamp,
) -> Result<Enqueued, Error> {
    let place = key::live_jobs(new.tenant, &new.job_type);
    let id = new.id.to_string();
    let enter = Update::of(&place).set(["live", id.as_str()], true);
    let room = enter.when(attribute("live").has_fewer_than(limit));
    for _ in 0..ATTEMPTS {
        match enqueue_in(store, new, subject.clone(), room.clone().into(), now).await {
            Err(Error::NoRoom) if make_room(store, new.tenant, &place).await? => {}
            enqueued => return enqueued,
        }
    }
    Err(Error::NoRoom)
}

/// Creates the row, or removes ended jobs from it. Returns `true` if there may be room now.
async fn make_room(store: &Store, tenant: TenantId, place: &Key) -> Result<bool, Error> {
    let Some(row) = store.get::<LiveJobs>(place).await? else {
        return match store.insert(Row::new(place, &LiveJobs::default())?).await {
            Ok(()) | Err(DataError::Conflict(_)) => Ok(true),
            Err(error) => Err(error.into()),
        };
    };
    let mut ended = Vec::new();
    for id in row.live.keys() {
        let job: Option<Job> = store.get(&key::job(tenant, *id)).await?;
        if job.is_none_or(|job| job.has_ended()) {
            ended.push(id.to_string());
        }
    }
    let update = ended.iter().fold(Update::of(place), |update, id| update.remove(["live", id.as_str()]));
    Ok(!ended.is_empty() && store.write_if(update.when(exists())).await?)
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use sequent_runlog::DynamoStorage;
    use sequent_tables::{absent, testing};

    use super::*;
    use crate::{
        cancel,
        kinds::{HelloInput, HelloWorld},
    };

    const LIMIT: u32 = 3;

    async fn enqueue(store: &Store, new: &NewJob) -> Result<Enqueued, Error> {
        let subject = Write::require_that(&key::tenant(new.tenant), absent());
        enqueue_within(store, new, LIMIT, subject, Timestamp::now()).await
    }

    fn greeting(tenant: TenantId, key: Option<&str>) -> NewJob {
        let input = HelloInput { key: key.map(str::to_owned), ..HelloInput::default() };
        NewJob::of::<HelloWorld>(tenant, &input)
    }

    #[tokio::test]
    async fn of_many_jobs_at_once_as_many_are_enqueued_as_there_is_room_for() {
        let store = testing::store().await;
        let tenant = TenantId::new();
        let many: Vec<NewJob> = (0..12).map(|_| greeting(tenant, None)).collect();
        let enqueued = join_all(many.iter().map(|new| enqueue(&store, new))).await;
        let refused = enqueued.iter().filter(|enqueued| matches!(enqueued, Err(Error::NoRoom))).count();
        let stored = enqueued.iter().filter(|enqueued| enqueued.is_ok()).count();
        assert!((1..=LIMIT as usize).contains(&stored), "{enqueued:?}");
        assert_eq!(stored + refused, many.len(), "{enqueued:?}");
        enqueue(&store, &greeting(TenantId::new(), None)).await.expect("another tenant has its own room");
    }

    #[tokio::test]
    async fn an_ended_job_makes_room_and_an_existing_one_needs_none() {
        let store = testing::store().await;
        let tenant = TenantId::new();
        let first = greeting(tenant, Some("first"));
        enqueue(&store, &first).await.unwrap();
        for _ in 1..LIMIT {
            enqueue(&store, &greeting(tenant, None)).await.unwrap();
        }
        let refused = enqueue(&store, &greeting(tenant, None)).await;
        assert!(matches!(refused, Err(Error::NoRoom)), "{refused:?}");
        let again = enqueue(&store, &greeting(tenant, Some("first"))).await.unwrap();
        assert!(matches!(again, Enqueued::Existing(job) if job.id == first.id));

        let storage = DynamoStorage::new(store.clone());
        cancel(&storage, tenant, first.id, "a test", Timestamp::now()).await.unwrap();
        enqueue(&store, &greeting(tenant, None)).await.unwrap();
    }
}
