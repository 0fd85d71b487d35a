//! `scripts/chat "hello"`: signs in a local demo user, sends a message and prints the answer as it streams.
//! If the connection breaks, the program reconnects and continues where it broke, as any client of the API
//! can.

mod api;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::StreamExt;
use serde_json::Value;

use api::{Api, Events};

const USAGE: &str = "\
usage: scripts/chat [--url URL] [--project ID] [--events] MESSAGE

  --url URL     URL of the stack (default: SEQUENT_URL, or http://localhost:PORT, or http://localhost:8787)
  --project ID  continue this conversation
  --events      print every event instead of the text alone";

/// Attempts to reconnect before the program gives up. Each received event resets the count.
const ATTEMPTS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(250);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, Default)]
struct Arguments {
    url: Option<String>,
    project: Option<String>,
    events: bool,
    message: Option<String>,
}

fn arguments() -> Option<Arguments> {
    let mut out = Arguments::default();
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--url" => out.url = Some(given.next()?),
            "--project" => out.project = Some(given.next()?),
            "--events" => out.events = true,
            flag if flag.starts_with("--") => return None,
            _ if out.message.is_none() => out.message = Some(argument),
            _ => return None,
        }
    }
    out.message.is_some().then_some(out)
}

async fn run() -> anyhow::Result<ExitCode> {
    let Some(arguments) = arguments() else {
        note(USAGE);
        return Ok(ExitCode::from(2));
    };
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let local = || format!("http://localhost:{}", set("PORT").unwrap_or_else(|| "8787".to_owned()));
    let url = arguments.url.or_else(|| set("SEQUENT_URL")).unwrap_or_else(local);
    let mut api = Api::new(&url);
    api.sign_in().await.with_context(|| format!("cannot sign in at {url} (is scripts/dev running?)"))?;

    let message = arguments.message.unwrap_or_default();
    let (events, run, project) = api.send(&message, arguments.project.as_deref()).await?;
    let code = follow(&api, events, &run, arguments.events).await?;
    note(&format!("\n[{run} in {project}; to continue: --project {project}]"));
    Ok(code)
}

/// Prints events until the run ends. Reconnects after the last event received.
async fn follow(api: &Api, first: Events, run: &str, verbose: bool) -> anyhow::Result<ExitCode> {
    let mut seen = 0;
    let mut failures = 0;
    let mut current = Some(first);
    loop {
        if let Some(mut events) = current.take() {
            // An error, or an end without a terminal event, is a broken connection.
            while let Some(Ok(event)) = events.next().await {
                if let Some(id) = event.id.as_deref().and_then(|id| id.parse::<u64>().ok()) {
                    seen = id;
                    failures = 0;
                }
                let name = event.event.unwrap_or_default();
                let data: Value = serde_json::from_str(&event.data.unwrap_or_default()).unwrap_or_default();
                show(&name, &data, verbose);
                match name.as_str() {
                    "RUN_FINISHED" => return Ok(ExitCode::SUCCESS),
                    "RUN_ERROR" => return Ok(ExitCode::FAILURE),
                    _ => {}
                }
            }
        }
        failures += 1;
        if failures > ATTEMPTS {
            bail!("lost the connection after event {seen}; gave up after {ATTEMPTS} attempts to reconnect");
        }
        tokio::time::sleep(PAUSE).await;
        match api.resume(run, seen).await {
            Ok(Some(events)) => current = Some(events),
            // The run has ended, and no events are left.
            Ok(None) => return Ok(ExitCode::SUCCESS),
            Err(_) if failures < ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
}

fn show(name: &str, data: &Value, verbose: bool) {
    let mut out = std::io::stdout().lock();
    // A closed pipe is no error: the program ends with the run.
    let _ = match name {
        _ if verbose => writeln!(out, "{data}"),
        "TEXT_MESSAGE_CONTENT" => write!(out, "{}", data["delta"].as_str().unwrap_or_default()),
        "TEXT_MESSAGE_END" => writeln!(out),
        "TOOL_CALL_START" => writeln!(out, "[tool {}]", data["toolCallName"].as_str().unwrap_or_default()),
        "RUN_ERROR" => writeln!(out, "\n[failed: {}]", data["message"].as_str().unwrap_or("no reason given")),
        _ => Ok(()),
    };
    let _ = out.flush();
}

fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
