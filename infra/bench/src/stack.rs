//! The real function binaries in the local execution environment, behind the local origin, with the database process
//! in the place of AWS.

use std::{collections::BTreeMap, path::Path, process::Stdio, sync::Arc, time::Duration};

use anyhow::Context;
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use http::Method;
use sequent_data::{Store, Tables};
use sequent_local::{
    Options,
    front::Front,
    logs::Logs,
    runtime::{Config, Environment, Runtime},
    template::{Function, Template},
};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

use crate::{client::Client, database, provider, usage::Usage};

const REGION: &str = "us-east-1";

pub(crate) struct Stack {
    database: Child,
    endpoint: String,
    pub(crate) provider: String,
    origin: String,
    pub(crate) functions: Vec<Function>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) bin_dir: std::path::PathBuf,
    runtime: Arc<Runtime>,
    /// `LingerMaxMs` as the template has it.
    pub(crate) linger_max: Duration,
}

impl Stack {
    pub(crate) async fn start(bin_dir: &Path) -> anyhow::Result<Self> {
        let (database, endpoint) = database_process().await?;
        sequent_data::testing::create_tables(&store(&endpoint)).await;
        let provider = format!("http://{}/v1", provider::start().await?);
        let parameters = BTreeMap::from([("Local".to_owned(), "true".to_owned())]);
        let template = Template::read(&Options::repository().join("template.yaml"), &parameters)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let environment = environment(&template, &endpoint, &provider, &origin);
        let functions = template.functions()?;
        let configs = functions.iter().map(|function| config(function, bin_dir, &environment)).collect();
        let runtime = Arc::new(Runtime::new(configs));
        let front = Arc::new(Front::new(template.distribution(), &functions, runtime.clone()));
        tokio::spawn(front.serve(listener));
        let linger_max = default(&template, "LingerMaxMs").and_then(|text| text.parse().ok());
        let linger_max = Duration::from_millis(linger_max.context("the template has no LingerMaxMs")?);
        let bin_dir = bin_dir.to_owned();
        Ok(Self {
            database,
            endpoint,
            provider,
            origin,
            functions,
            environment,
            bin_dir,
            runtime,
            linger_max,
        })
    }

    /// A user with a tenant of its own.
    pub(crate) async fn sign_up(&self) -> anyhow::Result<Client> {
        let mut client = Client::new(&self.origin);
        let user = json!({"email": "bench@example.com", "password": "a password for one run of the bench"});
        let tokens = client.json(Method::POST, "/api/auth/register", Some(&user)).await?;
        client.sign_in(&tokens)?;
        Ok(client)
    }

    /// The tables, reached as the functions reach them.
    pub(crate) fn store(&self) -> Store {
        store(&self.endpoint)
    }

    /// Process ids of a function's instances.
    pub(crate) fn instances(&self, function: &str) -> Vec<u32> {
        self.runtime
            .instances()
            .iter()
            .filter(|info| info.function == function)
            .map(|info| info.pid)
            .collect()
    }

    pub(crate) fn database_pid(&self) -> u32 {
        self.database.id().unwrap_or_default()
    }

    /// Counts from here on.
    pub(crate) async fn begin_count(&self) -> anyhow::Result<()> {
        Client::new(&self.endpoint).json(Method::POST, database::USAGE, None).await.map(drop)
    }

    /// What was used since.
    pub(crate) async fn end_count(&self) -> anyhow::Result<Usage> {
        let counted = Client::new(&self.endpoint).json(Method::GET, database::USAGE, None).await?;
        Ok(serde_json::from_value(counted)?)
    }

    /// Ends the functions, then the database.
    pub(crate) async fn stop(mut self) {
        self.runtime.stop().await;
        drop(self.database.stdin.take());
        let _ = self.database.wait().await;
    }
}

async fn database_process() -> anyhow::Result<(Child, String)> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("database")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().context("the database's output is piped")?;
    let line = BufReader::new(stdout).lines().next_line().await?;
    Ok((child, line.context("the database process ended at once")?))
}

fn store(endpoint: &str) -> Store {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("bench", "bench", None, None, "bench"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let tables = Tables { main: "main".into(), events: "events".into() };
    Store::new(aws_sdk_dynamodb::Client::from_conf(config), tables)
}

/// What the template gives every function, with this machine's addresses.
fn environment(template: &Template, endpoint: &str, provider: &str, origin: &str) -> Vec<(String, String)> {
    let parameters = [
        ("LEASE_MS", "LeaseMs"),
        ("LEASE_RENEW_MS", "LeaseRenewMs"),
        ("LINGER_MIN_MS", "LingerMinMs"),
        ("LINGER_MAX_MS", "LingerMaxMs"),
        ("ARGON2_MEMORY_KIB", "Argon2MemoryKib"),
        ("ARGON2_ITERATIONS", "Argon2Iterations"),
        ("ARGON2_PARALLELISM", "Argon2Parallelism"),
    ];
    let declared = parameters
        .iter()
        .filter_map(|(variable, parameter)| Some(((*variable).to_owned(), default(template, parameter)?)));
    let ours = [
        ("STAGE", "dev"),
        ("PUBLIC_URL", origin),
        ("MAIN_TABLE", "main"),
        ("EVENTS_TABLE", "events"),
        ("SECRETS_ID", "bench"),
        ("MODEL_SECRETS_ID", "bench"),
        ("OPENAI_BASE_URL", provider),
        ("RATE_LIMIT_PER_MINUTE", "1000000,chat=1000000"),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "bench"),
        ("AWS_SECRET_ACCESS_KEY", "bench"),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
    ];
    declared.chain(ours.map(|(name, value)| (name.to_owned(), value.to_owned()))).collect()
}

fn default(template: &Template, parameter: &str) -> Option<String> {
    match &template.document()["Parameters"][parameter]["Default"] {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn config(function: &Function, bin_dir: &Path, environment: &[(String, String)]) -> Config {
    Config {
        logical_id: function.logical_id.clone(),
        name: function.logical_id.clone(),
        binary: bin_dir.join(&function.binary),
        timeout: Duration::from_secs(function.timeout_s),
        memory_mb: function.memory_mb,
        concurrency: 64,
        idle_timeout: Duration::from_secs(600),
        environment: Environment::default().with(environment.iter().cloned()),
        region: REGION.to_owned(),
        logs: Logs::silent(),
    }
}
