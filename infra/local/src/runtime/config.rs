//! The settings of one function, and the build of its binary.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::environment::Environment;
use crate::logs::Logs;

/// Settings of a function. They do not change while it runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Key in the template.
    pub logical_id: String,
    /// Name in AWS.
    pub name: String,
    /// Path of the executable.
    pub binary: PathBuf,
    /// Longest time of an invocation. The instance is killed after it.
    pub timeout: Duration,
    /// `MemorySize` of the template. It is passed to the function but not enforced.
    pub memory_mb: u64,
    /// Most invocations at once. More are throttled.
    pub concurrency: usize,
    /// Longest idle time of an instance. It is stopped after it.
    pub idle_timeout: Duration,
    /// Freezes an instance between two invocations, as Lambda does.
    pub freezes: bool,
    /// Environment variables of the process.
    pub environment: Environment,
    /// Region in ARNs.
    pub region: String,
    /// Destination of the output.
    pub logs: Logs,
}

impl Config {
    /// Returns the function's ARN, in the account that emulators use.
    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:000000000000:function:{}", self.region, self.name)
    }
}

/// Identifies a build of a binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation {
    modified: SystemTime,
    len: u64,
}

impl Generation {
    pub(super) fn of(binary: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(binary)?;
        Ok(Self { modified: metadata.modified()?, len: metadata.len() })
    }
}
