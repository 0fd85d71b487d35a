//! Payments against a test server that behaves like Stripe.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod customers;
mod histories;
mod reconciliation;
mod shop;
