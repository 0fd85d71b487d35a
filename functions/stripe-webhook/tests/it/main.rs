//! The `stripe-webhook` function over Lambda events and real tables.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

mod golden;
