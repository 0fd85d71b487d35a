//! Payments against a server that keeps customers, subscriptions and charges as Stripe does.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod customers;
mod histories;
