//! Our Lambda execution environment: runs the real function binaries as processes over the Lambda Runtime API.
//! One invocation per instance at a time, scale-out on demand, and the failures Lambda would report.

mod api;
mod assignment;
mod environment;
mod function;
mod instance;
mod reply;
mod supervisor;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

pub use environment::Environment;
pub use function::{Config, Function, Refusal};
pub use reply::{Cut, FunctionError, Reply, Stream};

/// How often idle instances and changed binaries are looked for.
const HOUSEKEEPING: Duration = Duration::from_millis(500);

/// All functions of a stack.
#[derive(Debug)]
pub struct Runtime {
    functions: BTreeMap<String, Arc<Function>>,
    housekeeper: tokio::task::JoinHandle<()>,
}

/// What the control endpoint tells about an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct InstanceInfo {
    /// Process id; identifies the instance towards [`Runtime::kill`].
    pub pid: u32,
    /// Logical id of its function.
    pub function: String,
    /// `starting`, `idle`, `busy` or `stopping`.
    pub state: String,
    /// The invocation it is working on.
    pub request_id: Option<String>,
}

impl Runtime {
    /// Starts with no instances; the first request to a function starts one.
    pub fn new(configs: Vec<Config>) -> Self {
        let functions: BTreeMap<_, _> = configs
            .into_iter()
            .map(|config| (config.logical_id.clone(), Arc::new(Function::new(config))))
            .collect();
        let watched: Vec<_> = functions.values().cloned().collect();
        let housekeeper = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(HOUSEKEEPING);
            loop {
                ticks.tick().await;
                watched.iter().for_each(|function| function.tidy());
            }
        });
        Self { functions, housekeeper }
    }

    /// Finds a function by logical id, by name, or by ARN.
    pub fn function(&self, id: &str) -> Option<&Arc<Function>> {
        let name = id.rsplit_once(":function:").map_or(id, |(_, name)| name);
        self.functions.get(name).or_else(|| self.functions.values().find(|f| f.config().name == name))
    }

    /// Every live instance.
    pub fn instances(&self) -> Vec<InstanceInfo> {
        self.functions.values().flat_map(|function| function.instances()).collect()
    }

    /// Kills an instance with SIGKILL: what a crash is. False when there is no such instance.
    pub fn kill(&self, pid: u32) -> bool {
        self.functions.values().any(|function| function.kill(pid))
    }

    /// Asks every instance to end (SIGTERM), kills what has not ended after the grace period, and waits.
    pub async fn stop(&self) {
        self.housekeeper.abort();
        // All are told first, so that their grace periods run at the same time.
        self.functions.values().for_each(|function| function.close());
        for function in self.functions.values() {
            function.ended().await;
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.housekeeper.abort();
    }
}
