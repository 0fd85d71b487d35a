//! The real function binaries in the local execution environment, behind the local origin, with the database
//! process in place of AWS.

use std::{collections::BTreeMap, path::Path, process::Stdio, sync::Arc, time::Duration};

use anyhow::Context;
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use http::Method;
use sequent_local::{
    Options,
    front::Front,
    logs::Logs,
    runtime::{Config, Environment, Reply, Runtime},
    template::{Function, Template},
};
use sequent_runlog::Settings;
use sequent_tables::{SecretName, SecretTable, Store, Tables};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

use crate::{
    client::Client,
    database::{self, WEBHOOK_SECRET},
    provider,
    usage::Usage,
};

const REGION: &str = "us-east-1";
/// A rate limit that the bench does not reach.
pub(crate) const UNLIMITED: &str = "1000000,chat=1000000";

pub(crate) struct Stack {
    database: Child,
    endpoint: String,
    pub(crate) provider: String,
    origin: String,
    pub(crate) functions: Vec<Function>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) bin_dir: std::path::PathBuf,
    runtime: Arc<Runtime>,
    /// The longest gap between two writes of a run's log.
    pub(crate) linger_max: Duration,
}

impl Stack {
    /// Starts the stack. Functions get the variables `more` in addition to those of the template and the
    /// bench.
    pub(crate) async fn start(bin_dir: &Path, more: &[(&str, &str)]) -> anyhow::Result<Self> {
        let (database, endpoint) = database_process().await?;
        let store = own_store(&endpoint);
        sequent_tables::testing::create_tables(&store).await;
        let webhook = json!({"signing_secret": WEBHOOK_SECRET});
        SecretTable::new(store).insert_if_missing(SecretName::StripeWebhook, &webhook).await?;
        let provider = format!("http://{}/v1", provider::start().await?);
        let parameters = BTreeMap::from([("Local".to_owned(), "true".to_owned())]);
        let template = Template::read(&Options::repository().join("template.yaml"), &parameters)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let mut environment = environment(&template, &endpoint, &provider, &origin);
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let functions = template.functions()?;
        let configs = functions.iter().map(|function| config(function, bin_dir, &environment)).collect();
        let runtime = Arc::new(Runtime::new(configs));
        let front = Arc::new(Front::new(template.distribution(), &functions, runtime.clone()));
        tokio::spawn(front.serve(listener));
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
            linger_max: Settings::default().linger_max,
        })
    }

    /// Signs up a user with a new tenant.
    pub(crate) async fn sign_up(&self) -> anyhow::Result<Client> {
        Client::sign_up(&self.origin).await
    }

    /// Returns a store that reaches the tables as the functions do.
    pub(crate) fn store(&self) -> Store {
        own_store(&self.endpoint)
    }

    /// Invokes a function and returns its response.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> anyhow::Result<Value> {
        let function = self.runtime.function(function).with_context(|| format!("no function {function}"))?;
        match function.invoke(event.to_string().into()).await? {
            Reply::Buffered(answer) => Ok(serde_json::from_slice(&answer)?),
            Reply::Stream(_) => anyhow::bail!("{} streams", function.config().name),
            Reply::Error(error) => anyhow::bail!("{}", String::from_utf8_lossy(&error.payload)),
        }
    }

    /// Returns the process ids of a function's instances.
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

    /// Begins a count of requests and units.
    pub(crate) async fn begin_count(&self) -> anyhow::Result<()> {
        Client::new(&self.endpoint).json(Method::POST, database::USAGE, None).await.map(drop)
    }

    /// Ends the count and returns the usage.
    pub(crate) async fn end_count(&self) -> anyhow::Result<Usage> {
        let counted = Client::new(&self.endpoint).json(Method::GET, database::USAGE, None).await?;
        Ok(serde_json::from_value(counted)?)
    }

    /// Stops the functions, then the database.
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

fn own_store(endpoint: &str) -> Store {
    store(endpoint, "bench", Tables { main: "main".into(), events: "events".into() })
}

/// Returns a store at an endpoint that does not check signatures.
pub(crate) fn store(endpoint: &str, access_key: &str, tables: Tables) -> Store {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new(access_key, "bench", None, None, "bench"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Store::new(aws_sdk_dynamodb::Client::from_conf(config), tables)
}

/// Returns the variables that the template gives every function, with the addresses of this machine.
fn environment(template: &Template, endpoint: &str, provider: &str, origin: &str) -> Vec<(String, String)> {
    let queue = format!("{endpoint}/000000000000/runs");
    let ours = [
        ("LOCAL", "true"),
        ("REGISTRATION", "open"),
        ("TENANT_LIMITS", "runs=none,streams=none,storage_bytes=none,daily_usd=none,unverified_usd=none"),
        ("STACK", "bench"),
        ("ISSUER", "bench"),
        ("PUBLIC_URL", origin),
        ("ISSUER", "urn:sequent:bench"),
        ("MAIN_TABLE", "main"),
        ("EVENTS_TABLE", "events"),
        ("RUNS_QUEUE_URL", &queue),
        ("JOBS_QUEUE_URL", &queue),
        ("EXPORTS_QUEUE_URL", &queue),
        ("JOBS_DEAD_LETTERS_URL", &queue),
        ("FANOUT_DEAD_LETTERS_URL", &queue),
        // Named but not created, because the bench stores no artifacts here.
        ("ARTIFACTS_BUCKET", "bench"),
        ("PREVIEW_URL", endpoint),
        // The functions make their secrets, in the table that exists.
        ("SECRETS_TABLE", "main"),
        ("NOTIFY_TOPIC_ARN", "bench"),
        ("OPENAI_BASE_URL", provider),
        ("RATE_LIMIT_PER_MINUTE", UNLIMITED),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "bench"),
        ("AWS_SECRET_ACCESS_KEY", "bench"),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
    ];
    let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
    declared(template).into_iter().chain(ours).collect()
}

/// Returns the variables of all functions whose values are parameters.
fn declared(template: &Template) -> Vec<(String, String)> {
    let valued = variables(template)
        .filter_map(|(name, value)| Some((name.clone(), default(template, value["Ref"].as_str()?)?)));
    valued.collect()
}

/// Returns the variables of all functions, as the template declares them.
fn variables(template: &Template) -> impl Iterator<Item = (&String, &Value)> {
    let document = template.document();
    let resources = document["Resources"].as_object().into_iter().flat_map(|resources| resources.values());
    let properties = resources.map(|resource| &resource["Properties"]);
    let places = properties.chain([&document["Globals"]["Function"]]);
    places.filter_map(|place| place["Environment"]["Variables"].as_object()).flatten()
}

fn default(template: &Template, parameter: &str) -> Option<String> {
    match &template.document()["Parameters"][parameter]["Default"] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns the name of a function in rows.
pub(crate) fn name(function: &Function) -> &str {
    let name = function.binary.strip_prefix("sequent-").unwrap_or(&function.binary);
    name.strip_suffix("-function").unwrap_or(name)
}

fn config(function: &Function, bin_dir: &Path, environment: &[(String, String)]) -> Config {
    Config {
        logical_id: function.logical_id.clone(),
        name: function.logical_id.clone(),
        binary: bin_dir.join(&function.binary),
        timeout: Duration::from_secs(function.timeout_s),
        memory_mb: function.memory_mb,
        concurrency: 64,
        // Figures of the functions' work, also of that which Lambda would freeze.
        freezes: false,
        idle_timeout: Duration::from_secs(600),
        environment: Environment::default().with(environment.iter().cloned()),
        region: REGION.to_owned(),
        logs: Logs::silent(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without one of them a function may end before its first event.
    #[test]
    fn functions_get_every_variable_of_the_template() {
        let parameters = BTreeMap::from([("Local".to_owned(), "true".to_owned())]);
        let template =
            Template::read(&Options::repository().join("template.yaml"), &parameters).expect("it is valid");
        let ours = environment(&template, "http://e", "http://p", "http://o");
        // A variable that only some deployments have is optional.
        let required = variables(&template).filter(|(_, value)| value.get("Fn::If").is_none());
        let names = required.map(|(name, _)| name);
        let missing: Vec<_> = names.filter(|name| !ours.iter().any(|(given, _)| given == *name)).collect();
        assert_eq!(missing, Vec::<&String>::new());
    }
}
