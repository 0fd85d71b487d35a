//! The tables: how keys are built, how rows are written and read, how lists are paged, and the only code besides
//! the run log that speaks to DynamoDB.
//!
//! Invariants:
//!
//! * **The tenant is in the key.** A key is built by [`key`] and nowhere else, and every key begins with the tenant of a
//!   verified credential. The one exception is [`key::lookup`]: rows that turn a credential into a tenant and are found
//!   by a hash of the credential itself.
//! * **One retry rule.** A write is retried after contention, throttling and an ambiguous outcome, with the backoff of
//!   [`Retry`]: a single one by [`Store::write`] and its like, a transaction by [`Store::commit`]. The SDK retries reads
//!   only. A loop that reads, decides and writes uses the same backoff.
//! * **An ambiguous outcome is settled, not guessed.** A timeout or a 5xx may hide a success. A transaction that is
//!   sent again carries the same request token and is applied once. A single write has no token: a row that is as the
//!   write leaves it counts as written by it. An outcome that stays unknown is reported as [`Error::Ambiguous`].
//! * **Limits are errors with numbers.** A write that DynamoDB would refuse for its size is not sent: [`Limit`].
//!
//! A write is built from pieces. [`Update`] changes attributes, [`Write`] puts, inserts and deletes rows,
//! [`attribute`] and [`exists`] make conditions. A piece is sent alone by [`Store::write`], [`Store::write_if`] or
//! [`Store::update_if`], or together with others in a [`Transaction`], whose [`Label`]s report which condition did
//! not hold:
//!
//! ```
//! use sequent_core::{ProjectId, RunId, TenantId};
//! use sequent_tables::{
//!     Cancelled, Key, Label, Retry, Row, Store, Transaction, Update, Write, attribute, exists, key,
//! };
//!
//! const PROJECT: Label = Label::new("project");
//!
//! /// Stores a run and claims its project. Returns `false` if another run has the project.
//! async fn start(
//!     store: &Store,
//!     tenant: TenantId,
//!     project: ProjectId,
//!     run: RunId,
//!     row: Row,
//! ) -> Result<bool, Cancelled> {
//!     let claim = Update::of(&key::project(tenant, project))
//!         .set("live_run_id", run)
//!         .when(exists().and(attribute("live_run_id").is_none()));
//!     let transaction = Transaction::new()
//!         .write(claim)
//!         .label(PROJECT)
//!         .write(Write::insert(row));
//!     match store.commit(transaction, Retry::BRIEF).await {
//!         Ok(()) => Ok(true),
//!         Err(cancelled) if cancelled.refused(PROJECT) => Ok(false),
//!         Err(cancelled) => Err(cancelled),
//!     }
//! }
//! ```

mod api_error;
pub mod attributes;
mod condition;
mod cursor;
mod derived;
mod due;
mod error;
mod expression;
pub mod idempotency;
pub mod key;
pub mod limit;
mod page;
mod retry;
mod row;
mod secret;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod transaction;
mod update;
mod value;
mod walk;
mod write;

pub use condition::{Attribute, Condition, absent, attribute, exists};
pub use cursor::{CursorKey, InvalidCursor};
pub use derived::{derived_id, derived_id_at, derived_id_start};
pub use due::{Due, DueIndex, Sweep, due_at};
pub use error::{Error, classify};
pub use key::Key;
pub use limit::Limit;
pub use page::{Page, PageRequest};
pub use retry::{Retry, Tries};
pub use row::Row;
pub use secret::{SecretName, SecretTable};
pub use store::{Store, Tables};
pub use transaction::{Cancelled, Label, Reason, Reasons, Transaction};
pub use update::Update;
pub use value::{Path, attribute_of, decode};
pub use walk::Walk;
pub use write::{TableName, Write};

/// A DynamoDB item as the SDK has it, for example an image of a stream record. [`decode`] and [`attribute_of`] read it.
pub type Item = std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>;
