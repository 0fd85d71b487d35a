//! `scripts/chat "hello"`: signs a local demo user in, sends a message and prints the answer as it streams. A
//! connection that breaks is taken up again where it broke, as any client of the API can do it.

mod api;
mod sse;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use api::{Api, Stream};
use sse::Parser;

const USAGE: &str = "\
usage: scripts/chat [--url URL] [--project ID] [--events] MESSAGE

  --url URL     where the stack answers (default http://localhost:8787, or SEQUENT_URL, or PORT)
  --project ID  continue a conversation
  --events      print every event instead of the text alone";

/// Attempts to take a broken stream up again before giving up; news resets the count.
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
    let (stream, run, project) = api.send(&message, arguments.project.as_deref()).await?;
    let code = follow(&api, stream, &run, arguments.events).await?;
    note(&format!("\n[{run} in {project}; go on with --project {project}]"));
    Ok(code)
}

/// Prints until the run ends, reconnecting after the last event seen.
async fn follow(api: &Api, first: Stream, run: &str, verbose: bool) -> anyhow::Result<ExitCode> {
    let mut seen = 0;
    let mut failures = 0;
    let mut current = Some(first);
    loop {
        if let Some(mut stream) = current.take() {
            let mut parser = Parser::default();
            // An error and an end without a terminal event are the same thing: a cut.
            while let Ok(Some(bytes)) = stream.next().await {
                for event in parser.push(&bytes) {
                    if let Some(id) = event.id.as_deref().and_then(|id| id.parse::<u64>().ok()) {
                        seen = id;
                        failures = 0;
                    }
                    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
                    show(&event.name, &data, verbose);
                    match event.name.as_str() {
                        "RUN_FINISHED" => return Ok(ExitCode::SUCCESS),
                        "RUN_ERROR" => return Ok(ExitCode::FAILURE),
                        _ => {}
                    }
                }
            }
        }
        failures += 1;
        if failures > ATTEMPTS {
            bail!("the run stays out of reach after event {seen}");
        }
        tokio::time::sleep(PAUSE).await;
        match api.resume(run, seen).await {
            Ok(Some(stream)) => current = Some(stream),
            // Nothing is left to follow.
            Ok(None) => return Ok(ExitCode::SUCCESS),
            Err(_) if failures < ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
}

fn show(name: &str, data: &Value, verbose: bool) {
    let mut out = std::io::stdout().lock();
    // A closed pipe ends the program at the next read; nothing to do here.
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
