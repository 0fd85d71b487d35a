//! A stack that is large enough for a recursion of known depth.

use std::{panic, thread};

/// Levels of recursion that any thread has a stack for.
const SHALLOW: usize = 96;
/// Bytes of the stack for more levels. It is memory only as far as it is used.
const STACK: usize = 32 << 20;

/// Does the work on a thread of its own if its depth needs a larger stack, and waits for it.
///
/// # Errors
/// As the work, or if the process has no thread left.
pub(super) fn with_stack<T: Send>(
    depth: usize,
    work: impl FnOnce() -> Result<T, String> + Send,
) -> Result<T, String> {
    if depth <= SHALLOW {
        return work();
    }
    thread::scope(|scope| {
        let started = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let started = started.map_err(|error| format!("there is no thread for it ({error})"))?;
        started.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
    })
}
