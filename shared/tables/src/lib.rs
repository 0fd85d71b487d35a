//! The two tables: how keys are built, how rows are written and read, and how lists are paged.
//!
//! The invariant: a key is built by [`key`] and nowhere else, and every key begins with the tenant of a verified
//! credential. The one exception is [`key::lookup`], rows that turn a credential into a tenant and are found by a
//! hash of the credential itself.

mod api_error;
mod cursor;
mod error;
pub mod idempotency;
pub mod key;
mod page;
mod row;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transaction;

pub use cursor::{CursorKey, InvalidCursor};
pub use error::{Error, classify};
pub use key::Key;
pub use page::{Page, PageRequest};
pub use row::Row;
pub use store::{Store, Tables};
pub use transaction::{Cancelled, Change, Reason, Transaction};

/// A DynamoDB item as the SDK has it.
pub type Item = std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>;
