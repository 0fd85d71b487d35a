//! Webhooks, signed as Standard Webhooks specifies (<https://www.standardwebhooks.com>).
//!
//! Invariant of [`signature`]: a message is signed over its id, its time and its raw body together, so none of them can be
//! exchanged, and a signature is accepted for five minutes only.

pub mod signature;
