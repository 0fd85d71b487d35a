//! Runs MiniStack, the AWS emulator, as a child process: on loopback only, with an environment of its own,
//! and with its state in the data folder. It never outlives this process.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;

use crate::aws::Endpoint;
use crate::logs::Logs;

/// Time for a cold start of Python on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(90);
/// Starts of the emulator before giving up.
const ATTEMPTS: u32 = 3;
/// Time for the emulator to write its state.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Interval of the liveness check.
const CHECK: Duration = Duration::from_secs(15);

/// Ends the emulator when its standard input closes, which happens however this process ends. Then runs
/// hypercorn in the same process, without workers: one process to supervise, and one that gets the signal.
///
/// MiniStack measures a transaction as JSON, which is longer than what DynamoDB measures. The proxy in front of it measures
/// as DynamoDB does, so MiniStack's own limit is lifted.
const LAUNCHER: &str = "\
import os, signal, sys, threading
os.umask(0o077)
def watch():
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=watch, daemon=True).start()
import ministack.services.dynamodb as dynamodb
dynamodb._DDB_TXN_MAX_BYTES = 1 << 30
from hypercorn.__main__ import main
sys.exit(main())
";

/// Failures of the emulator's start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "plain data")]
pub enum Error {
    /// Its virtual environment does not exist.
    #[error("MiniStack is not installed in {0}; run `scripts/install emulator`")]
    NotInstalled(PathBuf),
    /// Its process could not be started.
    #[error("cannot start MiniStack: {0}")]
    Start(#[from] std::io::Error),
    /// It ended before it was ready, or did not become ready in time.
    #[error("MiniStack did not become ready: {reason}. The last lines of {log}:\n{tail}")]
    NotReady { reason: String, log: String, tail: String },
}

/// Settings of the emulator.
#[derive(Debug, Clone)]
pub struct Options {
    /// Virtual environment with MiniStack.
    pub venv: PathBuf,
    /// Folder of its state and log.
    pub data_dir: PathBuf,
    /// Names of functions, and the URLs to which it forwards their invocations.
    pub proxies: Vec<(String, String)>,
    /// Destination of reports about it.
    pub logs: Logs,
}

/// A running emulator and the task that supervises it.
#[derive(Debug)]
pub struct MiniStack {
    endpoint: Endpoint,
    stop: oneshot::Sender<()>,
    supervisor: tokio::task::JoinHandle<()>,
}

impl MiniStack {
    /// Starts the emulator and waits until it answers.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let python = options.venv.join("bin/python");
        if !python.exists() {
            return Err(Error::NotInstalled(options.venv));
        }
        let Running { child, lifeline, port, endpoint } = launch(&python, &options).await?;
        // Kept so that the addresses in stored state (queue URLs) stay valid after a restart.
        std::fs::write(options.data_dir.join("ministack.port"), port.to_string())?;
        let (stop, stopped) = oneshot::channel();
        let supervisor = tokio::spawn(supervise(child, lifeline, endpoint.clone(), stopped, options.logs));
        Ok(Self { endpoint, stop, supervisor })
    }

    /// Returns the address of the emulator.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns `true` if it has ended.
    pub fn ended(&self) -> bool {
        self.supervisor.is_finished()
    }

    /// Stops it in order, so that it writes its state.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        // Fails only if the supervisor has panicked.
        let _ = self.supervisor.await;
    }
}

async fn supervise(
    mut child: Child,
    lifeline: Option<ChildStdin>,
    endpoint: Endpoint,
    mut stopped: oneshot::Receiver<()>,
    logs: Logs,
) {
    let mut check = tokio::time::interval(CHECK);
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status.map_or_else(|e| e.to_string(), |s| s.to_string());
                return logs.line("ministack", &format!("the emulator ended unexpectedly ({status}); restart the stack"));
            }
            // Also completes when the sender is dropped without stop().
            _ = &mut stopped => break,
            _ = check.tick() => if let Err(error) = alive(&endpoint).await {
                logs.line("ministack", &format!("the emulator does not answer the liveness check: {error}"));
            },
        }
    }
    // The launcher ends in order when its standard input closes.
    drop(lifeline);
    if tokio::time::timeout(STOP_LIMIT, child.wait()).await.is_err() {
        logs.line("ministack", "the emulator did not end in time and was killed; its latest state is lost");
        let _ = child.kill().await;
    }
}

/// An emulator that answers.
struct Running {
    child: Child,
    lifeline: Option<ChildStdin>,
    port: u16,
    endpoint: Endpoint,
}

#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error("it ended with {0}")]
    Ended(std::process::ExitStatus),
    #[error("its process was lost: {0}")]
    Lost(std::io::Error),
    #[error("it did not answer within {} s", READY_LIMIT.as_secs())]
    Silent,
}

/// Starts the emulator and waits until it answers.
async fn launch(python: &Path, options: &Options) -> Result<Running, Error> {
    let log = options.data_dir.join("ministack.log");
    let mut attempt = 1;
    loop {
        let port = choose_port(&options.data_dir)?;
        let mut child = command(python, port, &log, options)?.spawn()?;
        // Taken out of the child, because wait() would close it.
        let lifeline = child.stdin.take();
        let endpoint = Endpoint::local(&format!("http://127.0.0.1:{port}"));
        match ready(&endpoint, &mut child).await {
            Ok(()) => return Ok(Running { child, lifeline, port, endpoint }),
            // Another process may have taken the port before the emulator did.
            Err(NotReady::Ended(_)) if attempt < ATTEMPTS => attempt += 1,
            Err(reason) => {
                let _ = child.kill().await;
                let reason = reason.to_string();
                return Err(Error::NotReady { reason, log: log.display().to_string(), tail: tail(&log) });
            }
        }
    }
}

async fn ready(endpoint: &Endpoint, child: &mut Child) -> Result<(), NotReady> {
    let answers = async {
        while alive(endpoint).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = answers => Ok(()),
        status = child.wait() => Err(status.map_or_else(NotReady::Lost, NotReady::Ended)),
        () = tokio::time::sleep(READY_LIMIT) => Err(NotReady::Silent),
    }
}

async fn alive(endpoint: &Endpoint) -> Result<(), crate::aws::Error> {
    endpoint.rest("sts", http::Method::GET, "/_ministack/ready", bytes::Bytes::new()).await.map(drop)
}

fn command(python: &Path, port: u16, log: &Path, options: &Options) -> std::io::Result<Command> {
    let data = &options.data_dir;
    let output = std::fs::File::create(log)?;
    let bind = format!("127.0.0.1:{port}");
    let mut command = Command::new(python);
    command
        .args(["-c", LAUNCHER, "ministack.app:app", "--workers", "0", "--bind", &bind, "--keep-alive", "75"])
        // The developer's environment, above all the credentials, must not reach it.
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", data)
        .env("LANG", "C.UTF-8")
        .env("PYTHONUNBUFFERED", "1")
        .env("GATEWAY_PORT", port.to_string())
        .env("MINISTACK_HOST", "localhost")
        .env("AWS_ENDPOINT_URL", format!("http://{bind}"))
        .env("LOG_LEVEL", "WARNING")
        .env("IOT_MTLS_ENABLED", "0")
        .env("SFTP_ENABLED", "0")
        // Otherwise it would search Docker for containers of its own.
        .env("DOCKER_HOST", "unix:///nonexistent")
        .env("PERSIST_STATE", "1")
        .env("S3_PERSIST", "1")
        .env("STATE_DIR", data.join("state"))
        .env("S3_DATA_DIR", data.join("s3"))
        .envs(options.proxies.iter().map(|(name, url)| (format!("MINISTACK_LAMBDA_PROXY_{name}"), url)))
        .current_dir(data)
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output)
        // Ctrl-C in the terminal reaches only this program, which then ends the emulator in order.
        .process_group(0)
        .kill_on_drop(false);
    Ok(command)
}

/// Returns the port that was used before if it is free, else any free port.
fn choose_port(data_dir: &Path) -> std::io::Result<u16> {
    let before = std::fs::read_to_string(data_dir.join("ministack.port")).ok();
    let before = before.and_then(|text| text.trim().parse::<u16>().ok()).unwrap_or(0);
    let listener =
        TcpListener::bind(("127.0.0.1", before)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?;
    Ok(listener.local_addr()?.port())
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
