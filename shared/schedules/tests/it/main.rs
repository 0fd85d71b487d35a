//! Schedules over real tables: their store, their runs, and simulated years.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

mod reference;
mod runs;
mod storing;
mod year;
