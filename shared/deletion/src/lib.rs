//! Deleting a conversation with everything that it left, `delete_conversation`, and an account with all its
//! conversations, `delete_account`.
//!
//! The request marks the project and enqueues the job in one transaction. From then on every route answers as if the
//! project did not exist. The job cancels the runs that are live, and deletes the logs, messages, artifacts, entities,
//! exports, jobs and names. What stays is the ledger, because the tenant has paid for the work, and a [`RunRecord`] of
//! each run, without its text.
//!
//! * **Repeatable.** A row that leads to others is deleted after them: a child run is found through the log of its
//!   parent, a run through the messages of its project. An attempt that is killed anywhere leaves a state from which the
//!   next one finds all the rest.
//! * **Guarded.** A log is deleted only in transactions that require the mark of the project: see
//!   [`DynamoStorage::erase`](sequent_runlog::DynamoStorage::erase).
//! * **Bounded.** Everything is read in pages, and nothing of a conversation is held in memory but the log of one run and
//!   of its parents.

mod account;
mod artifacts;
mod conversation;
mod error;
mod job;
mod record;
mod run;

pub use account::DeleteAccount;
pub use conversation::DeleteConversation;
pub use error::Error;
pub use record::RunRecord;
