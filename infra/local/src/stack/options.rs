//! The settings of a stack, and their defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sequent_tables::testing::{CapacityObserver, Faults};

use crate::gate;
use crate::logs::Logs;

/// Settings of a stack.
#[derive(Debug, Clone)]
pub struct Options {
    /// Path of the template.
    pub template: PathBuf,
    /// Folder of the files of the console.
    pub console: PathBuf,
    /// Folder of the state.
    pub data_dir: PathBuf,
    /// Folder of the function binaries.
    pub bin_dir: PathBuf,
    /// Virtual environment with MiniStack.
    pub venv: PathBuf,
    /// Port of the origin. 0 takes any free port.
    pub port: u16,
    /// AWS endpoint to use instead of MiniStack.
    pub endpoint_url: Option<String>,
    /// Template parameters besides those that the stack sets itself, such as `Stage`.
    pub parameters: BTreeMap<String, String>,
    /// Environment variables of all functions. They override those of the template.
    pub env: BTreeMap<String, String>,
    /// Factor by which functions and schedules shorten their waits: `sequent_core::pace`. 1 changes nothing.
    pub time_scale: u32,
    /// Secret key for Stripe. `None` leaves the stored secret unchanged; a new stack has none.
    pub stripe_secret_key: Option<String>,
    /// Secret with which Stripe signs its events. `None` leaves the stored secret unchanged.
    pub stripe_webhook_secret: Option<String>,
    /// Value that `X-Admin-Key` must have, at least 32 characters. `None` leaves the stored secret unchanged; a new stack has none.
    pub admin_key: Option<String>,
    /// Longest idle time of an instance. It is stopped after it.
    pub idle_timeout: Duration,
    /// Freezes instances between invocations, as Lambda does. Work that a function leaves after its answer stands still then.
    pub freezes: bool,
    /// Faults of the database. A clone controls them while the stack runs.
    pub faults: Faults,
    /// Receives the requests of functions to the database, with the capacity that they consume.
    pub capacity: CapacityObserver,
    /// Load of the concurrency gate at the start. `None` skips the gate, for tests of anything else.
    pub gate: Option<gate::Load>,
    /// Folder in which the permissions that functions use are noted, for `sequent-local iam`.
    pub iam_used: Option<PathBuf>,
    /// Destination of the output.
    pub logs: Logs,
}

impl Options {
    /// Returns the defaults for the repository at `root`: its template, its data folder, any free port, and
    /// the function binaries that were built together with the running program.
    pub fn new(root: &Path) -> Self {
        Self {
            template: root.join("template.yaml"),
            console: root.join("infra/console"),
            data_dir: root.join(".local"),
            bin_dir: built_with_us().unwrap_or_else(|| root.join("target/debug")),
            venv: std::env::var_os("SEQUENT_MINISTACK")
                .map_or_else(|| root.join(".local/ministack"), PathBuf::from),
            port: 0,
            endpoint_url: None,
            parameters: BTreeMap::new(),
            env: BTreeMap::new(),
            time_scale: 1,
            admin_key: None,
            stripe_secret_key: None,
            stripe_webhook_secret: None,
            idle_timeout: Duration::from_secs(300),
            freezes: true,
            faults: Faults::default(),
            capacity: CapacityObserver::default(),
            gate: Some(gate::Load::QUICK),
            iam_used: std::env::var_os("SEQUENT_IAM_USED").map(PathBuf::from),
            logs: Logs::stdout(),
        }
    }

    /// Returns the repository that this crate was built from.
    pub fn repository() -> PathBuf {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        here.ancestors().nth(2).unwrap_or(here).to_owned()
    }
}

/// Returns the folder of the running program. Cargo puts a test's program into `deps` below it.
fn built_with_us() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let folder = program.parent()?;
    if folder.ends_with("deps") { folder.parent().map(Path::to_owned) } else { Some(folder.to_owned()) }
}
