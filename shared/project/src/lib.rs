//! Projects and their messages: conversations as people see them.
//!
//! A message row repeats what a run's log says and is written in the same transaction as the event it repeats.
//! `live_run_id` names the run that currently answers in a project; taking and clearing it are conditional writes,
//! which is what makes "one run at a time per conversation" hold under any concurrency.

mod message;
pub mod naming;
mod project;
mod projects;
mod retention;

pub use message::{Message, Role, Standing};
pub use naming::NameProject;
pub use project::{Name, NameError, Project};
pub use projects::{Error, Projects};
pub use retention::{ForgetInput, ForgetOldProjects};
