//! Kinds of jobs that need nothing but the tables.

mod cleanup_old_jobs;
mod hello_world;

pub use cleanup_old_jobs::{CleanupInput, CleanupOldJobs};
pub use hello_world::{HelloInput, HelloWorld};
