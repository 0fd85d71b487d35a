//! The tools from outside, over real sockets on loopback.

mod fetch;
mod server;
mod ssrf;
