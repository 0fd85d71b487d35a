//! The whole one-machine stack, for measurements that need the table's stream and the queues. These belong to
//! the emulator, and so does part of the measured time.

use std::path::{Path, PathBuf};

use sequent_local::{Options, Stack, logs::Logs, ministack, runtime::FunctionUsage, stack};
use sequent_tables::{Store, Tables};

use crate::{client::Client, stack as ours};

pub(crate) struct Background {
    stack: Stack,
    store: Store,
    /// Removed after the stack has stopped.
    _data: Folder,
}

impl Background {
    /// Returns `None` if the emulator is not installed.
    pub(crate) async fn start(bin_dir: &Path) -> anyhow::Result<Option<Self>> {
        Self::start_with(bin_dir, |_| {}).await
    }

    /// Starts a stack with changed options.
    pub(crate) async fn start_with(
        bin_dir: &Path,
        adjust: impl FnOnce(&mut Options),
    ) -> anyhow::Result<Option<Self>> {
        let data = Folder(std::env::temp_dir().join(format!("sequent-bench-{}", std::process::id())));
        let mut options = Options::new(&Options::repository());
        options.data_dir.clone_from(&data.0);
        options.bin_dir = bin_dir.to_owned();
        options.logs = Logs::silent();
        options.env.insert("RATE_LIMIT_PER_MINUTE".into(), ours::UNLIMITED.into());
        // Responses without a directive, such as a plan's conclusion, come without pauses.
        options.env.insert("DEMO_TOKENS_PER_SECOND".into(), "0".into());
        adjust(&mut options);
        let stack = match Box::pin(Stack::start(options)).await {
            Err(stack::Error::MiniStack(ministack::Error::NotInstalled(_))) => return Ok(None),
            started => started?,
        };
        let named = |output: &str| stack.deployed().outputs.get(output).cloned().unwrap_or_default().into();
        let tables = Tables { main: named("MainTableName"), events: named("EventsTableName") };
        // The emulator separates its data by access key.
        let store = ours::store(stack.endpoint_url(), "test", tables);
        Ok(Some(Self { stack, store, _data: data }))
    }

    /// Signs up a user with a new tenant.
    pub(crate) async fn sign_up(&self) -> anyhow::Result<Client> {
        Client::sign_up(self.stack.origin_url()).await
    }

    /// Returns the use of each function so far.
    pub(crate) fn usage(&self) -> Vec<FunctionUsage> {
        self.stack.runtime().usage()
    }

    /// Returns the store of the stack.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the process ids of a function's instances.
    pub(crate) fn instances(&self, function: &str) -> Vec<u32> {
        let instances = self.stack.instances().into_iter();
        instances.filter(|instance| instance.function == function).map(|instance| instance.pid).collect()
    }

    pub(crate) async fn stop(self) {
        self.stack.stop().await;
    }
}

/// A folder that is removed with its owner.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // An error leaves files in the temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
