//! The task that watches over one instance: it alone waits for the process, kills it when its time is up, and
//! settles what it leaves behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::task::JoinSet;

use super::function::Function;
use super::instance::{Instance, Phase};
use super::{FunctionError, Reply, api};

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// For what the process wrote before it ended and we have not read yet.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs until the process has ended and nothing of it is left.
pub(super) async fn supervise(
    instance: Arc<Instance>,
    function: Arc<Function>,
    mut child: Child,
    listener: TcpListener,
) {
    let config = function.config();
    let mut connections = JoinSet::new();
    let mut term_at: Option<Instant> = None;
    let mut timed_out = false;
    let status = loop {
        let (retiring, kill) = {
            let slot = instance.slot();
            (slot.retiring, slot.kill)
        };
        if kill {
            // Fails only if it has ended, which wait() then reports.
            let _ = child.start_kill();
        } else if retiring && term_at.is_none() {
            terminate(instance.pid);
            term_at = Some(Instant::now());
        }
        let times = [instance.expiry(config), term_at.map(|at| at + GRACE)];
        let wake = times.into_iter().flatten().min().filter(|_| !kill);
        tokio::select! {
            status = child.wait() => break status,
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(api::serve(stream, instance.clone(), function.clone()));
            },
            Some(_) = connections.join_next() => {}
            () = instance.attention.notified() => {}
            () = sleep_until(wake) => {
                timed_out |= instance.expiry(config).is_some_and(|at| at <= Instant::now());
                instance.slot().kill = true;
            }
        }
    };
    // The sockets of a dead process end by themselves; what it wrote before is still read.
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        connections.shutdown().await;
    }
    let status = status.map_or_else(|e| e.to_string(), |status| status.to_string());
    settle(&instance, &function, timed_out, &status);
}

/// Ends what the dead instance leaves behind.
fn settle(instance: &Arc<Instance>, function: &Arc<Function>, timed_out: bool, status: &str) {
    let (was, left, init_error, retiring) = {
        let mut slot = instance.slot();
        let was = std::mem::replace(&mut slot.phase, Phase::Ended);
        (was, slot.assignment.take(), slot.init_error.take(), slot.retiring)
    };
    if was == Phase::Finishing {
        function.finishing(false);
    }
    let config = function.config();
    if let Some(assignment) = left {
        let id = assignment.request_id.clone();
        if assignment.delivered.is_none() && was != Phase::Starting {
            // The idle process died just before it could be given the work: nothing has happened yet.
            tokio::spawn(function.clone().place(assignment));
        } else {
            let error = match init_error {
                Some(payload) => FunctionError::reported(payload),
                None if timed_out => FunctionError::timed_out(&id, config.timeout.as_secs_f64()),
                None => FunctionError::exited(&id, status),
            };
            config.logs.line(&config.logical_id, &String::from_utf8_lossy(&error.payload));
            assignment.finish(Reply::Error(error));
        }
    } else if !retiring {
        config.logs.line(&config.logical_id, &format!("instance {} ended: {status}", instance.pid));
    }
    function.forget(instance);
}

fn terminate(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // The child is not reaped before wait() returns, so the id cannot have been reused.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
