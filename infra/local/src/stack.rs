//! The whole stack in one value. `sequent-local up` runs one, and integration tests start several at once.

mod options;
mod ports;
mod schedules;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sequent_tables::testing;
use tokio::task::JoinHandle;

use crate::aws::{self, Endpoint};
use crate::deploy::{self, Deployed};
use crate::gate;
use crate::iam::{self, Denials, Iam};
use crate::ministack::{self, MiniStack};
use crate::runtime::{Config, Environment, InstanceInfo, Runtime};
use crate::secrets::{self, Field};
use crate::template::{self, Template};

pub use options::Options;
use ports::{Ports, Urls};

/// Most instances of a function without reserved concurrency. In an account all functions share 1,000 by
/// default; this is what one machine can run.
const UNRESERVED: usize = 200;

/// Name of the CloudFormation stack.
const NAME: &str = "sequent-dev";

/// Reasons why a stack did not start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "plain data")]
pub enum Error {
    /// The template cannot be used.
    #[error(transparent)]
    Template(#[from] template::Error),
    /// The emulator did not start.
    #[error(transparent)]
    MiniStack(#[from] ministack::Error),
    /// The template was not deployed.
    #[error(transparent)]
    Deploy(#[from] deploy::Error),
    /// The secrets could not be stored.
    #[error("could not store a secret: {0}")]
    Secrets(#[from] aws::Error),
    /// A role of the template is wrong, or is not understood.
    #[error("cannot judge the functions by their roles: {0}")]
    Iam(#[from] iam::Error),
    /// The endpoint does not give the guarantee that the system relies on.
    #[error("the endpoint failed the concurrency gate: {0}")]
    Gate(#[from] gate::Error),
    /// The port is in use.
    #[error("port {0} is in use; choose another with --port")]
    PortTaken(u16),
    /// The data folder, or a port, cannot be used.
    #[error("cannot use the {what}: {source}")]
    Io { what: String, source: std::io::Error },
}

/// A running stack. Dropping it kills everything at once. [`Stack::stop`] stops it in order.
#[derive(Debug)]
pub struct Stack {
    urls: Urls,
    endpoint: Endpoint,
    deployed: Deployed,
    runtime: Arc<Runtime>,
    ministack: Option<MiniStack>,
    iam: Option<Iam>,
    servers: Vec<JoinHandle<()>>,
    /// Held as long as the stack runs.
    _lock: std::fs::File,
}

impl Stack {
    /// Starts everything. Returns when requests are served.
    pub async fn start(mut options: Options) -> Result<Self, Error> {
        options.data_dir = std::path::absolute(&options.data_dir).map_err(|e| io("data folder", e))?;
        options.venv = std::path::absolute(&options.venv).map_err(|e| io("folder of MiniStack", e))?;
        let lock = prepare(&options.data_dir).map_err(|e| io("data folder", e))?;
        // First, because this is the most likely failure, and because functions need the addresses.
        let ports = Ports::open(options.port).await?;
        let parameters = parameters(&options);
        let template = Template::read(&options.template, &parameters)?;
        let functions = template.functions()?;

        let (ministack, endpoint) = start_endpoint(&options, &functions, &ports.urls.control).await?;
        match assemble(&options, &template, &functions, &parameters, &endpoint, &ports.urls).await {
            Ok(Assembled { deployed, runtime, iam }) => {
                let urls = ports.urls.clone();
                let mut servers =
                    ports.serve(template.distribution(), &functions, &runtime, options.console.clone());
                servers.extend(schedules::scaled(&functions, &runtime, options.time_scale));
                Ok(Self { urls, endpoint, deployed, runtime, ministack, iam, servers, _lock: lock })
            }
            Err(error) => {
                if let Some(ministack) = ministack {
                    ministack.stop().await;
                }
                Err(error)
            }
        }
    }

    /// Returns the URL that the user opens.
    pub fn origin_url(&self) -> &str {
        &self.urls.origin
    }

    /// Returns the URL of the function whose URL is not part of the distribution.
    pub fn own_origin_url(&self) -> &str {
        &self.urls.own_origin
    }

    /// Returns the URL of the AWS endpoint.
    pub fn endpoint_url(&self) -> &str {
        self.endpoint.url()
    }

    /// Returns a client for the AWS endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the requests of functions that their roles do not allow, so far.
    pub fn denials(&self) -> Denials {
        self.iam.as_ref().map_or_else(Denials::default, |iam| iam.denials().clone())
    }

    /// Returns the endpoint as a function sees it, with the function's credentials.
    pub fn endpoint_of(&self, function: &str) -> Option<&Endpoint> {
        self.iam.as_ref()?.endpoint_of(function)
    }

    /// Returns the URL of the control port: `GET /instances`, `POST /instances/{pid}/kill`, and Lambda's
    /// Invoke API.
    pub fn control_url(&self) -> &str {
        &self.urls.control
    }

    /// Returns the physical names, outputs and variables of the deployed template.
    pub fn deployed(&self) -> &Deployed {
        &self.deployed
    }

    /// Returns the execution environment.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// Lists every live instance.
    pub fn instances(&self) -> Vec<InstanceInfo> {
        self.runtime.instances()
    }

    /// Kills an instance with SIGKILL. Returns `false` if it has ended already.
    pub fn kill(&self, pid: u32) -> bool {
        self.runtime.kill(pid)
    }

    /// Returns `true` if the emulator has ended by itself. The stack must be restarted then.
    pub fn broken(&self) -> bool {
        self.ministack.as_ref().is_some_and(MiniStack::ended)
    }

    /// Stops everything in order: first the instances, then the servers, then the emulator, which writes its
    /// state.
    pub async fn stop(mut self) {
        // Instances first, so that their last output still reaches clients.
        self.runtime.stop().await;
        self.servers.iter().for_each(JoinHandle::abort);
        if let Some(ministack) = self.ministack.take() {
            ministack.stop().await;
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.servers.iter().for_each(JoinHandle::abort);
    }
}

fn parameters(options: &Options) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::from([
        ("AWS::StackName".to_owned(), NAME.to_owned()),
        ("Stage".to_owned(), "dev".to_owned()),
        ("Local".to_owned(), "true".to_owned()),
        ("Registration".to_owned(), "open".to_owned()),
        // A machine with one user has no strangers.
        (
            "TenantLimits".to_owned(),
            "runs=none,streams=none,storage_bytes=none,daily_usd=none,unverified_usd=none".to_owned(),
        ),
    ]);
    parameters.extend(options.parameters.clone());
    parameters
}

/// Starts MiniStack, unless the options name another endpoint.
async fn start_endpoint(
    options: &Options,
    functions: &[template::Function],
    control_url: &str,
) -> Result<(Option<MiniStack>, Endpoint), Error> {
    if let Some(url) = &options.endpoint_url {
        return Ok((None, Endpoint::from_env(url)));
    }
    let proxy = |function| {
        let name = deploy::function_name(NAME, function);
        let url = format!("{control_url}/2015-03-31/functions/{name}/invocations");
        (name, url)
    };
    let ministack = MiniStack::start(ministack::Options {
        venv: options.venv.clone(),
        data_dir: options.data_dir.clone(),
        proxies: functions.iter().map(proxy).collect(),
        logs: options.logs.clone(),
    })
    .await?;
    let emulator = ministack.endpoint();
    // In front of the emulator's database, because it has not all of the limits of DynamoDB, and none of its faults.
    let database = testing::serve(emulator.url(), options.faults.clone(), options.capacity.clone());
    let database = database.await.map_err(|e| io("port of the database", e))?;
    let endpoint = emulator.with_database(&format!("http://{database}"));
    Ok((Some(ministack), endpoint))
}

/// The deployed stack and the functions on it.
struct Assembled {
    deployed: Deployed,
    runtime: Arc<Runtime>,
    iam: Option<Iam>,
}

async fn assemble(
    options: &Options,
    template: &Template,
    functions: &[template::Function],
    parameters: &BTreeMap<String, String>,
    endpoint: &Endpoint,
    urls: &Urls,
) -> Result<Assembled, Error> {
    let deploying = deploy::deploy(endpoint, NAME, template, functions, parameters);
    // The gate uses a table of its own, so both run at the same time.
    let (deployed, gated) = tokio::join!(deploying, check_gate(endpoint, options.gate));
    let deployed = deployed?;
    gated?;
    store_secrets(endpoint, &deployed, options).await?;
    if let Some(sender) = parameters.get("MailFrom").filter(|sender| !sender.is_empty()) {
        verify_sender(endpoint, sender).await?;
    }
    // Another endpoint judges requests itself, or has no roles.
    let iam = match &options.endpoint_url {
        Some(_) => None,
        None => Some(Iam::start(endpoint, template, &deployed, options.iam_used.as_deref()).await?),
    };
    let seen =
        |function: &template::Function| iam.as_ref().and_then(|iam| iam.endpoint_of(&function.logical_id));
    let configure = |function| config(options, function, seen(function).unwrap_or(endpoint), &deployed, urls);
    let configs = functions.iter().map(configure).collect();
    Ok(Assembled { deployed, runtime: Arc::new(Runtime::new(configs)), iam })
}

async fn check_gate(endpoint: &Endpoint, load: Option<gate::Load>) -> Result<(), gate::Error> {
    match load {
        Some(load) => gate::check(endpoint, load).await,
        None => Ok(()),
    }
}

/// Stores the secrets that the options contain, if the template has a table for them.
async fn store_secrets(
    endpoint: &Endpoint,
    deployed: &Deployed,
    options: &Options,
) -> Result<(), aws::Error> {
    let Some(table) = deployed.environments.values().find_map(|env| env.get("SECRETS_TABLE")) else {
        return Ok(());
    };
    let given = [
        ("admin", "key", &options.admin_key),
        ("stripe", "secret_key", &options.stripe_secret_key),
        ("stripe-webhook", "signing_secret", &options.stripe_webhook_secret),
    ];
    for (secret, name, value) in given {
        if let Some(value) = value {
            secrets::set(endpoint, table, Field { secret, name }, value).await?;
        }
    }
    Ok(())
}

/// Makes an address an identity of SES, as its owner does before a deployment. SES refuses mails from other addresses.
async fn verify_sender(endpoint: &Endpoint, address: &str) -> Result<(), aws::Error> {
    let body = serde_json::json!({ "EmailIdentity": address }).to_string();
    endpoint.rest("ses", http::Method::POST, "/v2/email/identities", body.into()).await.map(drop)
}

fn config(
    options: &Options,
    function: &template::Function,
    endpoint: &Endpoint,
    deployed: &Deployed,
    urls: &Urls,
) -> Config {
    let variables = deployed.environments.get(&function.logical_id).cloned().unwrap_or_default();
    Config {
        logical_id: function.logical_id.clone(),
        name: deploy::function_name(NAME, function),
        binary: options.bin_dir.join(&function.binary),
        timeout: Duration::from_secs(function.timeout_s),
        memory_mb: function.memory_mb,
        concurrency: function.reserved_concurrency.unwrap_or(UNRESERVED),
        idle_timeout: options.idle_timeout,
        freezes: options.freezes,
        environment: Environment::default()
            .with(variables)
            .with(Environment::inherited().iter().map(|(name, value)| (name.clone(), value.clone())))
            .with(endpoint.function_env())
            .with([("TIME_SCALE", options.time_scale.to_string())])
            // The addresses of the ports in front of the functions. The template has those of AWS.
            .with([("PUBLIC_URL", &urls.origin), ("PREVIEW_URL", &urls.own_origin)])
            .with(options.env.clone()),
        region: endpoint.region().to_owned(),
        logs: options.logs.clone(),
    }
}

/// Creates the data folder and locks it, because two stacks with one folder would overwrite each other's
/// state. Only its owner can read it, because the emulator stores secrets there.
fn prepare(data_dir: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(data_dir)?;
    std::fs::set_permissions(data_dir, std::fs::Permissions::from_mode(0o700))?;
    let lock = std::fs::File::create(data_dir.join("lock"))?;
    lock.try_lock().map_err(|e| match e {
        std::fs::TryLockError::Error(e) => e,
        std::fs::TryLockError::WouldBlock => std::io::Error::other(format!(
            "another stack uses {}; stop it or choose --data",
            data_dir.display()
        )),
    })?;
    Ok(lock)
}

fn io(what: &str, source: std::io::Error) -> Error {
    Error::Io { what: what.to_owned(), source }
}
