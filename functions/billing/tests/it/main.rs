//! The `billing` function over Lambda events, real tables and an in-process Stripe.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

mod deployment;
mod golden;
mod refusals;
