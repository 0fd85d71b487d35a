//! MCP servers that a tenant lets its agents use: which they are, what tools they offer, and calling those.
//!
//! The invariants:
//!
//! * A connection goes where [`sequent_tool::Guard`] lets it, and nowhere else.
//! * A tenant's token for a server is stored sealed for that tenant, server and address, and leaves this crate only in
//!   the `Authorization` header of a request to that address.
//! * What a server says of itself is untrusted: names are made to fit, schemas must compile, sizes are bounded, and a
//!   server that is away costs its tools and nothing else.

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
