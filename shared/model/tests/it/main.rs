//! The demo model, and the protocols of real models over real sockets: what works, and each way they can fail.

mod anthropic;
mod demo;
mod openai;
mod quiet;
mod server;
