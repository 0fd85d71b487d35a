//! Executes runs: from the conversation to a closed log, on any process that owns the run.
//!
//! The agent is a function of the log. [`execute`] decides from the folded log what to do next (module
//! `next`), does it, and appends the result, until nothing is left to do. So it does not matter which process
//! does it, how often it was killed on the way, or how long a person took to answer. [`Live`] streams a run's
//! events to a reader. It is also how a run whose owner died gets its next owner: a reader that finds an
//! expired lease takes the run over and executes it.
//!
//! Decision 4 (`infra/decisions/0004-the-agent-is-a-function-of-the-log.md`) explains why.

mod allowance;
mod ask_model;
mod bounds;
mod call_limits;
mod candidates;
mod children;
mod compact;
mod conclude;
mod conversation;
mod delegates;
mod earlier;
mod evaluate;
mod execute;
mod execution;
mod fit;
mod jobs;
mod live;
mod lost_call;
mod model_call;
mod next;
mod offer;
mod offers;
mod output;
mod planning;
mod preview;
mod prompt;
mod questions;
mod reader;
mod replay;
mod requests;
mod response;
mod role;
mod room;
mod sent;
mod summary;
mod tool_names;
mod tools;
mod transcript;
mod verdict;
mod web;
mod window;

use std::sync::Arc;

pub use bounds::Bounds;
pub use execute::{Executed, execute};
pub use live::{Live, LiveStream, Source};
pub use offers::Offers;
pub use preview::{PreviewedRequest, PreviewedRun, preview};
pub use questions::MAX_QUESTIONS;
pub use reader::{OnCut, StreamItem};
pub use replay::kept_events;
pub use sent::{SentContext, SentRequest, sent_context};
pub use tool_names::{ToolNameTaken, accept_client_tools};
pub use window::Window;

use futures::future::{OptionFuture, join};
use sequent_artifacts::Artifacts;
use sequent_attachments::Extractor;
use sequent_conversation::RunStore;
use sequent_core::{InvalidSetting, TenantId};
use sequent_definitions::Agents;
use sequent_http_tools::HttpTools;
use sequent_identity::Vault;
use sequent_mcp_client::Servers;
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::Store;
use sequent_tool::{Guard, Registry, Tool, WebAccess, WebFetch, web_fetch};

/// The dependencies of an execution. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The storage of the logs.
    pub storage: DynamoStorage,
    /// The client of the model providers.
    pub models: sequent_model::Client,
    /// The tools of the deployment, which every run may call.
    pub tools: Arc<Registry>,
    /// The reader of web pages, as far as the deployment allows it.
    pub web: WebFetch,
    /// The MCP servers of tenants, whose tools the tenants' runs may call as well. Without it, runs have only
    /// `tools`.
    pub servers: Option<Servers>,
    /// The HTTP tools of tenants, which the tenants' runs may call as well. Without it, runs have none.
    pub http_tools: Option<HttpTools>,
    /// The agents of tenants, as which runs work.
    pub agents: Agents,
    /// The artifacts of tenants, which people attach to messages. Without it, models read only their descriptions.
    pub artifacts: Option<Artifacts>,
    /// Extracts the content of the files that people attach.
    pub extractor: Extractor,
    /// The instructions and tools of requests that this process has stored.
    pub offers: Offers,
    /// The timing of the log.
    pub settings: Settings,
    /// The limits of every run.
    pub bounds: Bounds,
}

impl Engine {
    /// Creates an engine with the built-in tools, default timing and bounds, and no artifacts.
    #[must_use]
    pub fn new(storage: DynamoStorage, models: sequent_model::Client) -> Self {
        Self::with_guard(storage, models, &Guard::default(), WebAccess::On)
    }

    /// Creates an engine from the environment: see [`Settings::from_env`], [`Bounds::from_env`],
    /// [`Guard::from_env`] and [`WebAccess::from_env`]. The secrets of tenants' MCP servers and tools are sealed with the key in `vault`,
    /// which is read when the first one is needed. Runs save documents and files in `artifacts`.
    ///
    /// # Errors
    /// If a setting is not valid.
    pub fn from_env(
        storage: DynamoStorage,
        models: sequent_model::Client,
        vault: Vault,
        artifacts: &Artifacts,
        extractor: Extractor,
    ) -> Result<Self, InvalidSetting> {
        let guard = Guard::from_env()?;
        let servers = Some(Servers::new(storage.store().clone(), vault.clone(), guard.clone()));
        let http_tools = Some(HttpTools::new(storage.store().clone(), vault, guard.clone()));
        let mut engine = Self::with_guard(storage, models, &guard, WebAccess::from_env()?);
        let tools = Arc::make_mut(&mut engine.tools);
        let deliverable_tools = sequent_deliverables::tools(artifacts).into_iter();
        for tool in deliverable_tools.chain([sequent_artifacts::tool(artifacts)]) {
            tools.add_built_in(tool).expect("the built-in tools are valid");
        }
        Ok(Self {
            servers,
            http_tools,
            artifacts: Some(artifacts.clone()),
            extractor,
            settings: Settings::from_env()?,
            bounds: Bounds::from_env()?,
            ..engine
        })
    }

    fn with_guard(
        storage: DynamoStorage,
        models: sequent_model::Client,
        guard: &Guard,
        access: WebAccess,
    ) -> Self {
        let mut tools = Registry::default();
        let web = WebFetch::new(guard, web_fetch::Settings::default()).within(access);
        let of_memory = sequent_memory::tools(storage.store());
        for tool in sequent_tool::built_in_with(&web).into_iter().chain(of_memory) {
            tools.add_built_in(tool).expect("the built-in tools are valid");
        }
        Self {
            agents: Agents::new(storage.store().clone()),
            storage,
            models,
            tools: Arc::new(tools),
            web,
            servers: None,
            http_tools: None,
            artifacts: None,
            extractor: Extractor::in_this_process(),
            offers: Offers::default(),
            settings: Settings::default(),
            bounds: Bounds::default(),
        }
    }

    /// The tools of a tenant's run: those of the deployment, the tenant's HTTP tools, and those of its MCP servers. A run that is
    /// only `allowed` tools of the deployment waits for nothing.
    async fn tools_of(
        &self,
        tenant: TenantId,
        allowed: Option<&[String]>,
    ) -> Result<Arc<Registry>, sequent_conversation::Error> {
        let needs_others =
            allowed.is_none_or(|names| names.iter().any(|name| self.tools.get(name).is_none()));
        if !needs_others {
            return Ok(Arc::clone(&self.tools));
        }
        let of_servers = OptionFuture::from(self.servers.as_ref().map(|servers| servers.tools(tenant)));
        let own = OptionFuture::from(self.http_tools.as_ref().map(|tools| tools.tools(tenant)));
        let (of_servers, own) = join(of_servers, own).await;
        let others: Vec<Tool> =
            [own.transpose()?, of_servers.transpose()?].into_iter().flatten().flatten().collect();
        if others.is_empty() {
            return Ok(Arc::clone(&self.tools));
        }
        let mut tools = Registry::clone(&self.tools);
        for tool in others {
            if let Err(error) = tools.add(tool) {
                tracing::warn!(%tenant, %error, "could not use a tool of a tenant; runs go on without it");
            }
        }
        Ok(Arc::new(tools))
    }

    /// The logs and rows of runs, with the settings of their owners.
    #[must_use]
    pub fn runs(&self) -> RunStore {
        RunStore::new(self.storage.clone(), self.settings).with_pricing(self.models.pricing())
    }

    /// The store of the tables.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.storage.store()
    }
}
