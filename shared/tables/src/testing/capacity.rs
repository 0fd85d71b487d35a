//! The capacity that requests consume: what an emulator reports, passed to an observer.

use std::{fmt, sync::Arc, time::Duration};

/// A request that the database has answered.
#[derive(Debug, Clone, Copy)]
pub struct AnsweredRequest<'a> {
    /// Name of the operation, such as `PutItem`.
    pub operation: &'a str,
    /// Body of the request.
    pub request: &'a [u8],
    /// The request was carried out.
    pub is_ok: bool,
    /// Body of the answer, with the consumed capacity.
    pub answer: &'a [u8],
    /// Time until the answer.
    pub took: Duration,
}

type Observe = dyn Fn(AnsweredRequest<'_>) + Send + Sync;

/// Receives every request that a database answers. The default receives none.
#[derive(Clone, Default)]
pub struct CapacityObserver(Option<Arc<Observe>>);

impl fmt::Debug for CapacityObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CapacityObserver").field(&self.0.is_some()).finish()
    }
}

impl CapacityObserver {
    /// Passes each request to `observe`.
    pub fn new(observe: impl Fn(AnsweredRequest<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observe)))
    }

    pub(super) fn is_active(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn observe(&self, answered: AnsweredRequest<'_>) {
        if let Some(observe) = &self.0 {
            observe(answered);
        }
    }
}

/// Adds `ReturnConsumedCapacity` to the body of a request. The body is a JSON object with at least one member in every
/// operation that tables need.
#[must_use]
pub fn with_capacity(body: &[u8]) -> Vec<u8> {
    match body.strip_prefix(b"{") {
        Some(rest) => [br#"{"ReturnConsumedCapacity":"INDEXES","#, rest].concat(),
        None => body.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_request_asks_for_its_consumed_capacity() {
        let request: Value = serde_json::from_slice(&with_capacity(br#"{"TableName":"main"}"#)).unwrap();
        assert_eq!(
            (&request["ReturnConsumedCapacity"], &request["TableName"]),
            (&"INDEXES".into(), &"main".into())
        );
    }
}
