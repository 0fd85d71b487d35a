//! The tables as another process has them.

use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_sdk_dynamodb::{
    Client,
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef},
    error::BoxError,
};
use serde_json::Value;

use crate::Store;

/// The requests of a process.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    by_operation: Arc<Mutex<BTreeMap<String, usize>>>,
    strong_reads: Arc<AtomicUsize>,
}

impl Requests {
    /// Returns the number of requests by operation since the last call.
    #[must_use]
    pub fn take(&self) -> BTreeMap<String, usize> {
        mem::take(&mut *self.counts())
    }

    /// Returns the number of strongly consistent reads since the last call. The others cost half as much.
    #[must_use]
    pub fn take_strong_reads(&self) -> usize {
        self.strong_reads.swap(0, Ordering::Relaxed)
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.by_operation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for Requests {
    fn name(&self) -> &'static str {
        "requests of a test"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request().body().bytes().unwrap_or_default();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        self.strong_reads.fetch_add(usize::from(body["ConsistentRead"] == true), Ordering::Relaxed);
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        *self.counts().entry(operation).or_default() += 1;
        Ok(())
    }
}

/// Returns a store over the same tables with connections of its own, and the requests that it makes.
#[must_use]
pub fn process(store: &Store) -> (Store, Requests) {
    let requests = Requests::default();
    let config = store.client().config().to_builder();
    let config = config
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .interceptor(requests.clone())
        .build();
    (Store::new(Client::from_conf(config), store.tables().clone()), requests)
}
