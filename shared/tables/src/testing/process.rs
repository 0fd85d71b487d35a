//! The tables as another process has them.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_dynamodb::{
    Client,
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef},
    error::BoxError,
};

use crate::Store;

/// The number of requests of a process, by operation.
#[derive(Debug, Clone, Default)]
pub struct Requests(Arc<Mutex<BTreeMap<String, usize>>>);

impl Requests {
    /// Returns the counts since the last call.
    #[must_use]
    pub fn take(&self) -> BTreeMap<String, usize> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
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
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(operation).or_default() += 1;
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
