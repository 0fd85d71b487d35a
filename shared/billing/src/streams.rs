//! The streams that a tenant may have open at once.
//!
//! A client that follows a run holds an instance of the chat function, and the function does not learn that the client has
//! left. Each stream therefore has an entry with an expiry in one row of its tenant. It is removed when the stream ends.
//! The entry of a killed process expires.

use std::collections::BTreeMap;

use sequent_core::{RequestId, TenantId, Timestamp};
use sequent_tables::{Error as TableError, Row, Store, Update, attribute, key};
use serde::{Deserialize, Serialize};

use crate::{Denied, Error};

/// Attempts to find room, each of which fails only because another stream was first.
const ATTEMPTS: u32 = 8;

/// The row of a tenant's streams.
#[derive(Debug, Default, Serialize, Deserialize)]
struct OpenStreams {
    /// The expiry of each stream in milliseconds since the epoch, by the name of the stream.
    open: BTreeMap<String, i64>,
}

/// An open stream. [`close`](Self::close) it when it ends.
#[derive(Debug)]
#[must_use = "a stream that is not closed counts until it expires"]
pub struct OpenStream {
    store: Store,
    tenant: TenantId,
    name: String,
}

impl OpenStream {
    /// Opens a stream, if the tenant has fewer than `limit`.
    pub(crate) async fn open(
        store: &Store,
        tenant: TenantId,
        limit: u32,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let name = RequestId::new().to_string();
        let key = key::streams(tenant);
        let enter = Update::of(&key)
            .set(["open", name.as_str()], until.millis())
            .when(attribute("open").has_fewer_than(limit));
        for _ in 0..ATTEMPTS {
            if store.write_if(enter.clone()).await? {
                return Ok(Self { store: store.clone(), tenant, name });
            }
            let Some(streams) = store.get::<OpenStreams>(&key).await? else {
                create(store, tenant).await?;
                continue;
            };
            if !streams.forget_expired(store, tenant, now).await? && streams.open.len() >= limit as usize {
                break;
            }
        }
        Err(Denied::Streams { limit }.into())
    }

    /// Removes the entry of the stream. If that fails, the entry expires.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn close(self) -> Result<(), TableError> {
        let Self { store, tenant, name } = self;
        let leave = Update::of(&key::streams(tenant))
            .remove(["open", name.as_str()])
            .when(attribute(["open", name.as_str()]).is_present());
        store.write_if(leave).await.map(|_| ())
    }
}

async fn create(store: &Store, tenant: TenantId) -> Result<(), TableError> {
    match store.insert(Row::new(&key::streams(tenant), &OpenStreams::default())?).await {
        Ok(()) | Err(TableError::Conflict(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

impl OpenStreams {
    /// Removes the entries of killed processes. Returns `true` if there were any.
    async fn forget_expired(
        &self,
        store: &Store,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<bool, TableError> {
        let expired: Vec<&String> =
            self.open.iter().filter(|(_, until)| **until <= now.millis()).map(|(name, _)| name).collect();
        if expired.is_empty() {
            return Ok(false);
        }
        let update = Update::of(&key::streams(tenant)).when(attribute("open").is_present());
        let update = expired.iter().fold(update, |update, name| update.remove(["open", name.as_str()]));
        store.write_if(update).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use sequent_tables::testing;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_900_000_000_000) + Duration::from_secs(seconds)
    }

    async fn open(store: &Store, tenant: TenantId, now: Timestamp) -> Result<OpenStream, Error> {
        OpenStream::open(store, tenant, 3, now + MINUTE, now).await
    }

    #[tokio::test]
    async fn of_many_streams_at_once_as_many_open_as_the_limit_allows() {
        let store = testing::store().await;
        let tenant = TenantId::new();
        let opened = join_all((0..20).map(|_| open(&store, tenant, at(0)))).await;
        let (open_streams, refused): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
        assert_eq!(open_streams.len(), 3);
        let is_limit = |error: &Error| matches!(error, Error::Denied(Denied::Streams { limit: 3 }));
        assert!(refused.iter().all(|refused| refused.as_ref().is_err_and(is_limit)), "{refused:?}");
        open(&store, TenantId::new(), at(0))
            .await
            .expect("another tenant has its own limit")
            .close()
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_stream_that_was_closed_makes_room_for_another() {
        let store = testing::store().await;
        let tenant = TenantId::new();
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(open(&store, tenant, at(0)).await.unwrap());
        }
        open(&store, tenant, at(59)).await.unwrap_err();
        streams.remove(0).close().await.unwrap();
        streams.push(open(&store, tenant, at(59)).await.unwrap());
        open(&store, tenant, at(59)).await.unwrap_err();
    }

    #[tokio::test]
    async fn the_streams_of_a_killed_process_count_until_they_expire() {
        let store = testing::store().await;
        let tenant = TenantId::new();
        for _ in 0..3 {
            let _killed = open(&store, tenant, at(0)).await.unwrap();
        }
        open(&store, tenant, at(59)).await.unwrap_err();
        let late = open(&store, tenant, at(60)).await.unwrap();
        late.close().await.unwrap();
        let row: OpenStreams = store.get(&key::streams(tenant)).await.unwrap().unwrap();
        assert!(row.open.is_empty(), "{row:?}");
    }
}
