//! Queues and streams: sending messages, and receiving batches.
//!
//! Both work record by record: a refused message is reported separately, and the response to a batch names the records
//! that failed. One bad record therefore does not cause a retry of the others.

mod batch;
mod sender;
mod serve;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use batch::{Batch, Failures};
pub use sender::{Error, Message, Sender};
pub use serve::{BatchWorker, serve};
