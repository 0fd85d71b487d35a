//! The command line, and the environment variables that set its defaults.

use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: sequent-local up [--port N] [--data DIR] [--ephemeral] [--ready-file PATH] [--bin-dir DIR]
       sequent-local iam DIR

  --port N           port to listen on, on loopback (default: PORT, or 8787); 0 takes any free port
  --data DIR         folder of the state (default: SEQUENT_DATA, or .local)
  --ephemeral        use a temporary data folder and remove it at the end
  --ready-file PATH  write the URL to this file as soon as requests are served
  --bin-dir DIR      folder of the function binaries (default: SEQUENT_BIN_DIR, or the folder of this program)

  iam DIR            list the permissions of template.yaml that no stack with SEQUENT_IAM_USED=DIR has used

  TIME_SCALE        factor by which all waits are shorter, for tests (default: 1)
  ADMIN_KEY         the X-Admin-Key of the administrators' routes
  AWS_ENDPOINT_URL  an AWS endpoint to use instead of the emulator
  SEQUENT_IAM_USED  folder in which to note the permissions that functions use";

/// The arguments of a command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) port: u16,
    pub(crate) data: Option<PathBuf>,
    pub(crate) ephemeral: bool,
    pub(crate) ready_file: Option<PathBuf>,
    pub(crate) bin_dir: Option<PathBuf>,
    pub(crate) endpoint_url: Option<String>,
    pub(crate) admin_key: Option<String>,
    pub(crate) time_scale: u32,
    /// Folder of the notes to report on, instead of running the stack.
    pub(crate) iam: Option<PathBuf>,
}

impl Arguments {
    /// Returns `None` if help is requested.
    pub(crate) fn parse(
        given: impl Iterator<Item = String>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let mut out = Self {
            port: env("PORT").map_or(Ok(8787), |port| parse_port(&port))?,
            data: env("SEQUENT_DATA").map(PathBuf::from),
            bin_dir: env("SEQUENT_BIN_DIR").map(PathBuf::from),
            endpoint_url: env("AWS_ENDPOINT_URL"),
            admin_key: env("ADMIN_KEY"),
            time_scale: env("TIME_SCALE").map_or(Ok(1), |factor| parse_factor(&factor))?,
            ..Self::default()
        };
        let mut given = given;
        let mut command = None;
        while let Some(argument) = given.next() {
            let mut value = || given.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "-h" | "--help" | "help" => return Ok(None),
                "up" if command.is_none() => command = Some(argument),
                "iam" if command.is_none() => {
                    out.iam = Some(value()?.into());
                    command = Some(argument);
                }
                "--port" => out.port = parse_port(&value()?)?,
                "--data" => out.data = Some(value()?.into()),
                "--ready-file" => out.ready_file = Some(value()?.into()),
                "--bin-dir" => out.bin_dir = Some(value()?.into()),
                "--ephemeral" => out.ephemeral = true,
                other => return Err(format!("unknown argument {other}")),
            }
        }
        if command.is_some() { Ok(Some(out)) } else { Err("the command is missing: up or iam".to_owned()) }
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text} is not a port; use a number from 0 to 65535"))
}

fn parse_factor(text: &str) -> Result<u32, String> {
    let factor = text.parse().ok().filter(|factor| *factor > 0);
    factor.ok_or_else(|| format!("TIME_SCALE is {text}; use a whole number of at least 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str, env: &[(&str, &str)]) -> Result<Option<Arguments>, String> {
        let find = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Arguments::parse(line.split_whitespace().map(str::to_owned), find)
    }

    #[test]
    fn arguments_win_over_variables_and_those_over_defaults() {
        assert_eq!(parse("up", &[]).unwrap().unwrap().port, 8787);
        assert_eq!(parse("up", &[("PORT", "1")]).unwrap().unwrap().port, 1);
        let given = parse("up --port 2 --data d --ephemeral", &[("PORT", "1")]).unwrap().unwrap();
        assert_eq!((given.port, given.data, given.ephemeral), (2, Some("d".into()), true));
        assert_eq!(parse("iam used", &[]).unwrap().unwrap().iam, Some("used".into()));
    }

    #[test]
    fn mistakes_are_explained() {
        assert!(parse("", &[]).unwrap_err().contains("up"));
        assert!(parse("up --port", &[]).unwrap_err().contains("needs a value"));
        assert!(parse("up --port x", &[]).unwrap_err().contains("not a port"));
        assert!(parse("up", &[("TIME_SCALE", "0")]).unwrap_err().contains("at least 1"));
        assert!(parse("up --fast", &[]).unwrap_err().contains("--fast"));
        assert_eq!(parse("--help", &[]).unwrap(), None);
    }
}
