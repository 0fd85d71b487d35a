//! The whole system on one machine: the real template on an emulated AWS endpoint, the real function binaries
//! in our own execution environment, and one origin for all requests, on loopback only.
//!
//! Invariant: a route, queue, stream or schedule exists here only because `template.yaml` declares it.
//!
//! Decision 9 (`infra/decisions/0009-our-own-lambda-environment.md`) explains why.

pub mod aws;
pub mod control;
pub mod deploy;
pub mod front;
pub mod gate;
pub mod iam;
pub mod logs;
pub mod ministack;
mod respond;
pub mod runtime;
pub mod secrets;
pub mod stack;
pub mod template;

pub use stack::{Options, Stack};

/// Creates an id in the form of AWS request ids (UUID version 4).
pub(crate) fn request_id() -> String {
    let bits = (fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
