//! The task that supervises one instance: it alone waits for the process, kills it when its time is over, and
//! settles the invocation that is left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::api;
use super::assignment::Assignment;
use super::instance::{Instance, Phase, Process};
use super::pool::Pool;
use super::reply::{FunctionError, Reply};
use super::signals;

/// Time from SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// Longest time to read what the process wrote before it ended.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs until the process has ended and its connections are closed. Returns an invocation that the process
/// never got.
pub(super) async fn supervise(
    instance: Arc<Instance>,
    process: Process,
    pool: &Arc<Pool>,
) -> Option<Assignment> {
    let Process { mut child, listener } = process;
    let config = pool.config();
    let mut connections = JoinSet::new();
    let mut term_at: Option<Instant> = None;
    let mut timed_out = false;
    let status = loop {
        let (retiring, kill) = {
            let slot = instance.slot();
            (slot.retiring, slot.kill)
        };
        if kill {
            // Fails only if the process has ended, which wait() then reports.
            let _ = child.start_kill();
        } else if retiring && term_at.is_none() {
            signals::terminate(instance.pid);
            term_at = Some(Instant::now());
        }
        let times = [instance.expiry(config), term_at.map(|at| at + GRACE)];
        let end = times.into_iter().flatten().min().filter(|_| !kill);
        tokio::select! {
            status = child.wait() => break status,
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(api::serve(stream, instance.clone(), pool.clone()));
            },
            Some(_) = connections.join_next() => {}
            () = instance.attention.notified() => {}
            () = sleep_until(instance.freeze_at()) => instance.freeze_if_idle(),
            () = sleep_until(end) => {
                timed_out |= instance.expiry(config).is_some_and(|at| at <= Instant::now());
                instance.slot().kill = true;
            }
        }
    };
    // The sockets of a dead process end by themselves. Data that it wrote before is still read.
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        connections.shutdown().await;
    }
    let status = status.map_or_else(|e| e.to_string(), |status| status.to_string());
    let unstarted = settle(&instance, pool, timed_out, &status);
    pool.remove(&instance);
    unstarted
}

/// Ends the invocation that the dead instance leaves, or returns it if the process never got it.
fn settle(instance: &Instance, pool: &Pool, timed_out: bool, status: &str) -> Option<Assignment> {
    let (was, left, init_error, retiring) = {
        let mut slot = instance.slot();
        let was = std::mem::replace(&mut slot.phase, Phase::Ended);
        (was, slot.assignment.take(), slot.init_error.take(), slot.retiring)
    };
    if was == Phase::Finishing {
        pool.finished();
    }
    let config = pool.config();
    let Some(assignment) = left else {
        if !retiring {
            config.logs.line(&config.logical_id, &format!("instance {} ended: {status}", instance.pid));
        }
        return None;
    };
    if assignment.delivered.is_none() && was != Phase::Starting {
        return Some(assignment);
    }
    let id = assignment.request_id.clone();
    let error = match init_error {
        Some(payload) => FunctionError::reported(payload),
        None if timed_out => FunctionError::timed_out(&id, config.timeout.as_secs_f64()),
        None => FunctionError::exited(&id, status),
    };
    config.logs.line(&config.logical_id, &String::from_utf8_lossy(&error.payload));
    assignment.finish(Reply::Error(error));
    None
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
