//! Tools that an agent can call.
//!
//! A [`Tool`] has two parts: what the model sees, and how the agent must treat it (may it run again, must a
//! person agree, its time and size limits). The [`Registry`] holds the tools of a run by name and checks
//! arguments against the tool's schema. Every call goes through [`run()`], which guarantees:
//!
//! * It always returns within the tool's timeout, even if the tool hangs or panics. A panic is an error like
//!   any other.
//! * The text for the model is at most [`Tool::max_result_bytes`] long and fits an event, however JSON escapes it. It
//!   ends with a note if it was cut.
//! * An [`Error`] states what the agent may do next: return it to the model, retry, or ask a person.
//! * Effects besides the text are returned as [`Effect`]s. The tool stores nothing in the log: only the run's
//!   owner writes it.
//!
//! Two kinds of tools do not run here: [`ask_user`] interrupts the run ([`ToolKind::AsksPerson`]), and so do the tools that the
//! client of the run carries out ([`ToolKind::Client`]).
//!
//! Every request to an address that a model, a tenant or a page chose passes the [`guard`].

pub mod ask_user;
mod call;
pub mod cite_source;
pub mod client_tool;
mod cut;
mod digest;
mod error;
pub mod guard;
pub mod names;
mod output_schema;
mod policy;
pub mod registry;
mod rule;
mod run;
pub mod schema;
pub mod tenant_tool;
mod tool;
pub mod web_fetch;

pub use call::{Call, Citation, Effect, Output};
pub use client_tool::{ClientToolDeclaration, ClientTools};
pub use cut::cut;
pub use digest::definition_digest;
pub use error::Error;
pub use guard::Guard;
pub use output_schema::OutputSchema;
pub use policy::ToolPolicy;
pub use registry::Registry;
pub use rule::{CallLimits, ToolRule};
pub use run::run;
pub use schema::Schema;
pub use tool::{Handler, Tool, ToolKind};
pub use web_fetch::{WebAccess, WebFetch, text_of_html};

/// Returns the built-in tools, which may read every page that the guard allows.
#[must_use]
pub fn built_in(guard: &Guard) -> Vec<Tool> {
    built_in_with(&WebFetch::new(guard, web_fetch::Settings::default()))
}

/// Returns the built-in tools, with this reader of pages.
#[must_use]
pub fn built_in_with(web: &WebFetch) -> Vec<Tool> {
    [ask_user::tool(), cite_source::tool()].into_iter().chain(web.tool()).collect()
}
