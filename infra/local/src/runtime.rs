//! Our Lambda execution environment: it runs the real function binaries as processes over the Lambda Runtime
//! API. An instance has one invocation at a time, instances start on demand, and failures are reported as
//! Lambda reports them.
//!
//! The modules depend on each other in this order: `config`, `environment`, `reply`, `signals`, `usage` < `assignment` <
//! `instance` < `pool` < `api` < `supervisor` < `function`.

mod api;
mod assignment;
mod config;
mod environment;
mod function;
mod instance;
mod pool;
mod reply;
mod signals;
mod supervisor;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use config::Config;
pub use environment::Environment;
pub use function::{Function, Refusal};
pub use instance::InstanceInfo;
pub use reply::{Cut, FunctionError, Reply, Stream};
pub use usage::FunctionUsage;

/// Interval of the search for idle instances and changed binaries.
const HOUSEKEEPING: Duration = Duration::from_millis(500);

/// All functions of a stack.
#[derive(Debug)]
pub struct Runtime {
    functions: BTreeMap<String, Arc<Function>>,
    housekeeper: tokio::task::JoinHandle<()>,
}

impl Runtime {
    /// Creates the functions without instances. The first request to a function starts one.
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
                watched.iter().for_each(|function| function.pool.tidy());
            }
        });
        Self { functions, housekeeper }
    }

    /// Finds a function by logical id, by name, or by ARN.
    pub fn function(&self, id: &str) -> Option<&Arc<Function>> {
        let name = id.rsplit_once(":function:").map_or(id, |(_, name)| name);
        self.functions.get(name).or_else(|| self.functions.values().find(|f| f.config().name == name))
    }

    /// Lists every live instance.
    pub fn instances(&self) -> Vec<InstanceInfo> {
        self.functions.values().flat_map(|function| function.pool.instances()).collect()
    }

    /// Returns the use of each function so far.
    pub fn usage(&self) -> Vec<FunctionUsage> {
        self.functions.values().map(|function| function.usage()).collect()
    }

    /// Kills an instance with SIGKILL, as a crash would. Returns `false` if there is no such instance.
    pub fn kill(&self, pid: u32) -> bool {
        self.functions.values().any(|function| function.pool.kill(pid))
    }

    /// Asks every instance to end (SIGTERM), kills those that have not ended after the grace period, and
    /// waits.
    pub async fn stop(&self) {
        self.housekeeper.abort();
        // All are asked first, so that their grace periods run at the same time.
        self.functions.values().for_each(|function| function.pool.close());
        for function in self.functions.values() {
            function.pool.ended().await;
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.housekeeper.abort();
    }
}
