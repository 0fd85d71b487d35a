//! Real models' protocols over real sockets: what works, and everything that can go wrong.

mod anthropic;
mod openai;
mod quiet;
mod server;
