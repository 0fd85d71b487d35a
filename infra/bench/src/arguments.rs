//! Parses the command line of the bench.

use std::path::PathBuf;

use anyhow::{Context, bail};
use sequent_local::Options;

pub(crate) const USAGE: &str = "\
usage: scripts/bench [noisy [--minutes N]] [--quick] [--json PATH] [--bin-dir DIR]

  noisy          only the tenant that does its worst, for N minutes (default 1)
  --quick        fewer repetitions, for a look; targets are judged all the same
  --json PATH    where the numbers go (default bench.json in .data, or in SEQUENT_DATA)
  --bin-dir DIR  where the function binaries are (default target/release)";

/// A command of the bench.
pub(crate) enum Command {
    Measure(Arguments),
    /// Measure the tenant that does its worst beside another one.
    Noisy(Arguments),
    /// Run as the process that replaces AWS.
    Database,
    Help,
}

/// Options of a measurement.
pub(crate) struct Arguments {
    pub(crate) quick: bool,
    pub(crate) json: PathBuf,
    pub(crate) bin_dir: PathBuf,
    /// Minutes that the noisy tenant has.
    pub(crate) minutes: u32,
}

impl Arguments {
    pub(crate) fn parse(mut given: impl Iterator<Item = String>) -> anyhow::Result<Command> {
        let root = Options::repository();
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let data = variable("SEQUENT_DATA").unwrap_or_else(|| root.join(".local"));
        let target = variable("CARGO_TARGET_DIR").unwrap_or_else(|| root.join("target"));
        let mut out =
            Self { quick: false, json: data.join("bench.json"), bin_dir: target.join("release"), minutes: 1 };
        let mut command: fn(Self) -> Command = Command::Measure;
        while let Some(argument) = given.next() {
            let mut value = || given.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "database" => return Ok(Command::Database),
                "noisy" => command = Command::Noisy,
                "--minutes" => out.minutes = value()?.parse().context("--minutes needs a whole number")?,
                "-h" | "--help" => return Ok(Command::Help),
                "--quick" => out.quick = true,
                "--json" => out.json = value()?.into(),
                "--bin-dir" => out.bin_dir = value()?.into(),
                other => bail!("unknown argument {other}\n{USAGE}"),
            }
        }
        Ok(command(out))
    }
}
