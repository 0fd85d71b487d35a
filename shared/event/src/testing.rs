//! Values for the tests of this crate and of others.

mod log;
mod values;

pub use log::{GeneratedLog, MOVES};
pub use values::task;

use crate::Usage;

/// The usage of a call of the demo model, which has ended in the usual way and has no price.
#[must_use]
pub fn usage() -> Usage {
    Usage {
        provider: "demo".to_owned(),
        model: "demo".to_owned(),
        input_tokens: 1,
        output_tokens: 1,
        cached_input_tokens: 0,
        cache_write_tokens: 0,
        reasoning_tokens: 0,
        cost_micro_usd: None,
        estimated: false,
        latency_ms: 1,
        finish_reason: "stop".to_owned(),
        messages_told: None,
        request: None,
    }
}
