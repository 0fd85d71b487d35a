//! The client of tenants' MCP servers: setting servers up, listing their tools, and calling the tools.
//!
//! Invariants:
//!
//! * Every connection is allowed by [`sequent_tool::Guard`].
//! * A tenant's token for a server is stored sealed for that tenant, server and address, and leaves this
//!   crate only in the `Authorization` header of a request to that address.
//! * A server's description of itself is untrusted: names are adapted, schemas must compile, sizes are
//!   limited. If a server is down, only its own tools are missing.

mod api_error;
mod link;
mod listing;
mod name;
mod outcome;
mod server;
mod servers;
mod text;
mod tool;
mod web;

pub use name::{InvalidName, Name};
pub use outcome::Failure;
pub use server::{NewServer, Server};
pub use servers::{Error, Servers};
pub use tool::Offer;

#[cfg(test)]
mod tests;
