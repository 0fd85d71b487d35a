//! The client of tenants' MCP servers: setting servers up, listing their tools, and calling the tools.
//!
//! Invariants:
//!
//! * Every connection is allowed by [`sequent_tool::Guard`].
//! * A server's address and a tenant's token for it can be credentials, and so are the tokens that a user's sign-in was
//!   granted. They are stored sealed for that tenant and server, and leave this crate only in requests to that address, or
//!   to the authorization server that has granted them.
//! * A server's description of itself is untrusted: names are adapted, schemas must compile, sizes are
//!   limited. Agents use a tool only as it was accepted, and nothing that the server says makes a call repeat
//!   itself. If a server is down, only its own tools are missing; if one of its tools is malformed, only that one.

mod api_error;
mod approval;
mod bearer;
mod definition;
mod link;
mod listing;
mod message;
mod name;
mod oauth;
mod outcome;
mod pages;
mod pin;
mod reading;
mod server;
mod servers;
mod sign_in;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
mod tool;
mod web;

pub use approval::Approval;
pub use definition::MalformedTool;
pub use name::{InvalidName, Name};
pub use outcome::Failure;
pub use pin::DefinitionDigest;
pub use server::{NewServer, Server};
pub use servers::{Error, Servers};
pub use sign_in::{BegunSignIn, NewSignIn, Redirected};
pub use tool::{Offer, ToolListing};

#[cfg(test)]
mod tests;
