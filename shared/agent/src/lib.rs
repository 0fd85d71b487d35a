//! Executing a run: from the conversation to a closed log, on whichever process owns it.
//!
//! The agent is a function of the log. [`execute`] asks the `next` module what the folded log calls for, does it, and
//! writes down what came of it, until nothing is left to do: so it makes no difference which process does it, how often
//! it was killed on the way, or how long a person took to answer. [`Live`] is what a reader sees, and is also where a
//! run whose owner died finds its next one: a reader that meets an expired lease takes the run over and executes it in
//! place.

mod bounds;
mod children;
mod execute;
mod execution;
mod jobs;
mod live;
mod next;
mod offer;
mod planning;
mod prompt;
mod reader;
mod respond;
mod response;
mod tools;
mod verdict;
mod window;

use std::sync::Arc;

pub use bounds::Bounds;
pub use execute::{Executed, execute};
pub use live::{Live, Source};
pub use reader::StreamItem;
pub use window::Window;

use sequent_artifacts::Artifacts;
use sequent_core::TenantId;
use sequent_identity::Vault;
use sequent_mcp_client::Servers;
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::Store;
use sequent_tool::{Guard, Registry, guard::NotAllowable};

/// Everything executing a run needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Where the logs are.
    pub storage: DynamoStorage,
    /// Who answers.
    pub models: sequent_model::Client,
    /// What models may call, whoever's run it is.
    pub tools: Arc<Registry>,
    /// The MCP servers of tenants, whose tools their runs may call as well. `None`: runs have the tools above alone.
    pub servers: Option<Servers>,
    /// Timing of the log.
    pub settings: Settings,
    /// What any run may use up.
    pub bounds: Bounds,
}

impl Engine {
    /// With the built-in tools, and default timing and bounds.
    #[must_use]
    pub fn new(storage: DynamoStorage, models: sequent_model::Client) -> Self {
        Self::with_guard(storage, models, &Guard::default())
    }

    /// As the environment says: see [`Settings::from_env`], [`Bounds::from_env`] and [`Guard::from_env`]. The tokens of
    /// tenants' MCP servers are sealed under the key in `vault`, which is read when the first of them is needed. What
    /// runs save becomes one of `artifacts`.
    ///
    /// # Errors
    /// When a setting cannot be understood.
    pub fn from_env(
        storage: DynamoStorage,
        models: sequent_model::Client,
        vault: Vault,
        artifacts: &Artifacts,
    ) -> Result<Self, NotAllowable> {
        let guard = Guard::from_env()?;
        let servers = Some(Servers::new(storage.store().clone(), vault, guard.clone()));
        let mut engine = Self::with_guard(storage, models, &guard);
        let tools = Arc::make_mut(&mut engine.tools);
        let writing = sequent_deliverables::tools(artifacts).into_iter();
        for tool in writing.chain([sequent_artifacts::tool(artifacts)]) {
            tools.add_built_in(tool).expect("the built-in tools are valid");
        }
        Ok(Self { servers, settings: Settings::from_env(), bounds: Bounds::from_env(), ..engine })
    }

    fn with_guard(storage: DynamoStorage, models: sequent_model::Client, guard: &Guard) -> Self {
        let mut tools = Registry::default();
        for tool in sequent_tool::built_in(guard) {
            tools.add_built_in(tool).expect("the built-in tools are valid");
        }
        let (settings, bounds) = (Settings::default(), Bounds::default());
        Self { storage, models, tools: Arc::new(tools), servers: None, settings, bounds }
    }

    /// The tools of a tenant's runs: those of the deployment, and those of the tenant's MCP servers. A run that is
    /// `allowed` no other than the deployment's does not wait for a server to list its own.
    async fn tools_of(&self, tenant: TenantId, allowed: Option<&[String]>) -> Arc<Registry> {
        let suffice = allowed.is_some_and(|names| names.iter().all(|name| self.tools.get(name).is_some()));
        let more = match &self.servers {
            Some(servers) if !suffice => servers.tools(tenant).await,
            _ => Vec::new(),
        };
        if more.is_empty() {
            return Arc::clone(&self.tools);
        }
        let mut tools = Registry::clone(&self.tools);
        for tool in more {
            if let Err(error) = tools.add(tool) {
                tracing::warn!(%tenant, %error, "a tool of an MCP server is left out");
            }
        }
        Arc::new(tools)
    }

    /// The tables.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.storage.store()
    }
}
