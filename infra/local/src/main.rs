//! `sequent-local up` runs the system on one machine until Ctrl-C. `sequent-local iam` reports on the roles of its functions.

mod arguments;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use sequent_local::{Options, Stack};
use tokio::signal::unix::{SignalKind, signal};

use arguments::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1), |name| std::env::var(name).ok()) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            say(arguments::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            complain(&format!("{problem}\n\n{}", arguments::USAGE));
            return ExitCode::from(2);
        }
    };
    if let Some(folder) = &arguments.iam {
        return report(folder);
    }
    match Box::pin(up(arguments)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Environment variables that set parameters of a deployment.
const PARAMETERS: [&str; 10] = [
    "BILLING",
    "BILLING_PLANS",
    "BILLING_CATALOG",
    "BILLING_MARKUP_PERCENT",
    "BILLING_HOLD",
    "BILLING_WELCOME",
    "BILLING_METER",
    "MODEL_PRICES",
    "RATE_LIMIT_PER_MINUTE",
    "STRIPE_API_BASE",
];

/// Lists the permissions that no test uses. Fails if one of them is not explained.
fn report(folder: &Path) -> ExitCode {
    match sequent_local::iam::report(&Options::new(&Options::repository()).template, folder) {
        Ok(report) => {
            say(&report.to_string());
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

async fn up(arguments: Arguments) -> anyhow::Result<()> {
    let options = options(&arguments);
    let data_dir = options.data_dir.clone();
    let ended = run(&arguments, options, &data_dir).await;
    if arguments.ephemeral && data_dir.exists() {
        std::fs::remove_dir_all(&data_dir)
            .with_context(|| format!("cannot remove {}", data_dir.display()))?;
    }
    ended
}

fn options(arguments: &Arguments) -> Options {
    let mut options = Options::new(&Options::repository());
    options.port = arguments.port;
    if let Some(dir) = &arguments.bin_dir {
        options.bin_dir.clone_from(dir);
    }
    if let Some(dir) = &arguments.data {
        options.data_dir.clone_from(dir);
    }
    if arguments.ephemeral {
        options.data_dir = std::env::temp_dir().join(format!("sequent-{}", std::process::id()));
    }
    options.endpoint_url.clone_from(&arguments.endpoint_url);
    options.admin_key.clone_from(&arguments.admin_key);
    if std::env::var_os("LOG_FORMAT").is_none() {
        // The log is for a person, not for CloudWatch.
        options.env.insert("LOG_FORMAT".to_owned(), "text".to_owned());
    }
    // They override the template's defaults, as the parameters of a deployment do.
    for name in PARAMETERS {
        if let Ok(value) = std::env::var(name) {
            options.env.insert(name.to_owned(), value);
        }
    }
    // The emulator keeps mail to any address.
    options.parameters.insert("MailFrom".to_owned(), "no-reply@example.com".to_owned());
    // Not only a variable: with it, the stream delivers the ends of runs.
    if let Ok(endpoint) = std::env::var("TRACE_ENDPOINT") {
        options.parameters.insert("TraceEndpoint".to_owned(), endpoint);
    }
    options.time_scale = arguments.time_scale;
    options.stripe_secret_key = std::env::var("STRIPE_SECRET_KEY").ok();
    options.stripe_webhook_secret = std::env::var("STRIPE_WEBHOOK_SECRET").ok();
    options
}

/// Runs the stack until a signal arrives or the emulator ends.
async fn run(arguments: &Arguments, options: Options, data_dir: &Path) -> anyhow::Result<()> {
    // From the beginning: Ctrl-C during the start must also end what has already started.
    let mut stopped = Box::pin(stop_signal()?);
    let stack = tokio::select! {
        started = Box::pin(Stack::start(options)) => started?,
        () = &mut stopped => return Ok(()),
    };
    say(&screen(&stack, data_dir, arguments.ephemeral));
    if let Some(file) = &arguments.ready_file {
        std::fs::write(file, stack.origin_url())
            .with_context(|| format!("cannot write the ready file {}", file.display()))?;
    }
    let broken = tokio::select! {
        () = stopped => false,
        () = broken(&stack) => true,
    };
    say("\nstopping ...");
    stack.stop().await;
    if let Some(file) = &arguments.ready_file {
        // It may have been removed already.
        let _ = std::fs::remove_file(file);
    }
    anyhow::ensure!(
        !broken,
        "the emulator ended unexpectedly; see {}",
        data_dir.join("ministack.log").display()
    );
    Ok(())
}

/// Returns a future that completes when the program is asked to end.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

/// Waits until the emulator has ended by itself.
async fn broken(stack: &Stack) {
    while !stack.broken() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn screen(stack: &Stack, data_dir: &Path, ephemeral: bool) -> String {
    let url = stack.origin_url();
    let kept = if ephemeral { "removed at the end" } else { "kept; delete it to start from scratch" };
    format!(
        r#"
Sequent is ready at {url}

  sign up   curl -s {url}/api/auth/register -H 'content-type: application/json' \
              -d '{{"email":"me@example.com","password":"correct horse battery"}}'
  chat      scripts/chat "hello"

  data      {data} ({kept})
  AWS       {endpoint}
  mail      {endpoint}/_ministack/ses/messages
  control   {control}/instances
  stop      Ctrl-C
"#,
        data = data_dir.display(),
        endpoint = stack.endpoint_url(),
        control = stack.control_url(),
    )
}

fn say(text: &str) {
    // A closed terminal must not stop the stack.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
