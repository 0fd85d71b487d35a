//! Queues and streams: messages out, batches in.
//!
//! Both sides go record by record. A message that was not taken is reported for itself, and a batch is answered with
//! the records that failed, so that one bad record costs nobody else a retry.

mod batch;
mod sender;
mod serve;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use batch::{Batch, Failures};
pub use sender::{Error, Message, Sender};
pub use serve::{BatchWorker, serve};
