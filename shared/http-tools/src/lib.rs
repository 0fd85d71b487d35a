//! Tools that are requests to a tenant's own HTTP server: setting them up, and calling them.
//!
//! Invariants:
//!
//! * Every request is allowed by [`sequent_tool::Guard`], is not redirected, and is sent over TLS, except to the local machine
//!   where the deployment allows that for development.
//! * The arguments of a call never change the scheme, the host or the port of the address, nor the number of segments of its
//!   path.
//! * Secret headers and the signing secret are stored sealed for their tenant, tool and host. They leave this crate only in
//!   requests to that host, and what a server repeats of a secret header is removed from its answer.
//! * Each attempt at a call has the same `Idempotency-Key`. A call is repeated only if its tool is idempotent, and only after
//!   a failure that may pass.

mod answer;
mod api_error;
mod call;
mod change;
mod failure;
mod header;
mod name;
mod request;
mod sealed;
mod tool;
mod tools;
mod url_template;

pub use change::{HttpToolChange, NewHttpTool};
pub use header::{NewHeader, ToolHeader};
pub use name::{InvalidName, ToolName};
pub use tool::{HttpTool, RequestMethod};
pub use tools::{CallTrial, Error, HttpTools};
pub use url_template::{InvalidTemplate, UrlTemplate};

#[cfg(test)]
mod tests;
