//! Signals to the process of an instance.
//!
//! Lambda freezes an environment when its runtime and its extensions wait for the next event, and thaws it with that
//! event. SIGSTOP and SIGCONT do the same to a process: nothing that it left to do after its answer goes on meanwhile.

use rustix::process::{Pid, Signal, kill_process};

/// Freezes the process.
pub(super) fn freeze(pid: u32) {
    send(pid, Signal::STOP);
}

/// Lets the process go on where it was frozen.
pub(super) fn thaw(pid: u32) {
    send(pid, Signal::CONT);
}

/// Asks the process to end. A frozen one is thawed, because it could not end otherwise.
pub(super) fn terminate(pid: u32) {
    send(pid, Signal::TERM);
    thaw(pid);
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // The process is not reaped before the supervisor's wait() returns, so its id cannot have been reused.
        let _ = kill_process(pid, signal);
    }
}
