//! Tools that an agent can call.
//!
//! A [`Tool`] is two things: what the model sees of it, and how the agent must treat it (may it run again, must a person
//! agree, how long, how much). The [`Registry`] holds the tools of a run by name and checks the arguments against the
//! tool's schema; [`run()`] is the only way a call is made. Its contract:
//!
//! * It always returns: within the tool's timeout, and whatever the tool does. A panic is an error like any other.
//! * What it returns for the model is bounded by [`Tool::max_result_bytes`], and says when it was cut.
//! * [`Error`] says what the agent may do next, and no more than that: tell the model, try again, or ask a person.
//! * What a call does beside its answer comes back as [`Effect`]s. The tool stores nothing: the run's log is the truth,
//!   and only the run's owner writes it.
//!
//! One tool does not run at all: [`ask_user`] interrupts the run ([`Kind::AsksPerson`]).
//!
//! Everything that goes out to an address somebody else chose passes the [`guard`].

pub mod ask_user;
mod call;
pub mod cite_source;
mod error;
pub mod guard;
pub mod registry;
mod run;
pub mod schema;
mod tool;
pub mod web_fetch;

pub use call::{Call, Citation, Effect, Output};
pub use error::Error;
pub use guard::Guard;
pub use registry::Registry;
pub use run::run;
pub use schema::Schema;
pub use tool::{Handler, Kind, Tool};
pub use web_fetch::text_of_html;

/// The tools that come with the product.
#[must_use]
pub fn built_in(guard: &Guard) -> Vec<Tool> {
    vec![ask_user::tool(), cite_source::tool(), web_fetch::tool(guard, web_fetch::Settings::default())]
}
