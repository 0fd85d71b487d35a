//! Agents, prompts and HTTP tools over HTTP: versions and labels, the default agent, the notes of agents, and the tools that
//! agents call.
//!
//! Each handler parses, authorises, calls [`sequent_definitions`] or [`sequent_http_tools`] and renders. What is another tenant's is
//! not found.

mod agent_versions;
mod agents;
mod default_agent;
mod labels;
mod memory;
mod prompt_versions;
mod prompts;
mod starters;
mod tool_policies;
mod tools;

use axum::{Extension, Router, middleware::from_fn};
use sequent_definitions::{Agents, Prompts};
use sequent_http::{Scope, idempotency, openapi, rate_limit::Class, scoped};
use sequent_http_tools::HttpTools;
use sequent_identity::Vault;
use sequent_memory::Memory;
use sequent_tables::Store;
use sequent_tool::Guard;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    agents: Agents,
    memory: Memory,
    tools: HttpTools,
    store: Store,
    /// Has the key of the cursors.
    vault: Vault,
}

impl App {
    /// The agents, prompts, notes and tools in `store`. `guard` limits the connections of tools that are tried.
    #[must_use]
    pub fn new(store: Store, vault: Vault, guard: Guard) -> Self {
        let tools = HttpTools::new(store.clone(), vault.clone(), guard);
        let memory = Memory::new(store.clone());
        Self { agents: Agents::new(store.clone()), memory, tools, store, vault }
    }

    fn prompts(&self) -> &Prompts {
        self.agents.prompts()
    }
}

/// Builds the routes of the function.
pub fn router(app: App) -> Router {
    routed().split_for_parts().0.with_state(app)
}

/// Builds the function's part of the API description.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

const READ: &[Scope] = &[Scope::AgentsRead];
const WRITE: &[Scope] = &[Scope::AgentsWrite];

fn routed() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::base())
        .merge(agents_routed())
        .merge(prompts_routed())
        .merge(tools_routed())
}

fn agents_routed() -> OpenApiRouter<App> {
    let create = routes!(agents::create_agent).layer(from_fn(idempotency::layer));
    let add = routes!(agent_versions::add_agent_version).layer(from_fn(idempotency::layer));
    OpenApiRouter::new()
        .routes(scoped(READ, routes!(agents::list_agents)))
        .routes(scoped(WRITE, create))
        .routes(scoped(READ, routes!(agents::get_agent)))
        .routes(scoped(WRITE, routes!(agents::rename_agent, agents::delete_agent)))
        .routes(scoped(READ, routes!(agent_versions::list_agent_versions)))
        .routes(scoped(WRITE, add))
        .routes(scoped(READ, routes!(agent_versions::get_agent_version)))
        .routes(scoped(WRITE, routes!(labels::change_agent_label, labels::delete_agent_label)))
        .routes(scoped(READ, routes!(memory::list_notes)))
        .routes(scoped(WRITE, routes!(memory::delete_notes)))
        .routes(scoped(WRITE, routes!(memory::delete_note)))
        .routes(scoped(READ, routes!(default_agent::get_default_agent)))
        .routes(scoped(WRITE, routes!(default_agent::change_default_agent)))
        .routes(scoped(READ, routes!(starters::list_agent_starters)))
}

fn prompts_routed() -> OpenApiRouter<App> {
    let create = routes!(prompts::create_prompt).layer(from_fn(idempotency::layer));
    let add = routes!(prompt_versions::add_prompt_version).layer(from_fn(idempotency::layer));
    OpenApiRouter::new()
        .routes(scoped(READ, routes!(prompts::list_prompts)))
        .routes(scoped(WRITE, create))
        .routes(scoped(READ, routes!(prompts::get_prompt)))
        .routes(scoped(WRITE, routes!(prompts::delete_prompt)))
        .routes(scoped(READ, routes!(prompt_versions::list_prompt_versions)))
        .routes(scoped(WRITE, add))
        .routes(scoped(READ, routes!(prompt_versions::get_prompt_version)))
        .routes(scoped(READ, routes!(prompt_versions::list_prompt_changes)))
        .routes(scoped(WRITE, routes!(labels::change_prompt_label)))
}

fn tools_routed() -> OpenApiRouter<App> {
    const READ: &[Scope] = &[Scope::ToolsRead];
    const WRITE: &[Scope] = &[Scope::ToolsWrite];
    // The server of the tenant may take its time.
    let costly = OpenApiRouter::new()
        .routes(scoped(WRITE, routes!(tools::test_tool)))
        .route_layer(Extension(Class::Chat));
    OpenApiRouter::new()
        .merge(costly)
        .routes(scoped(READ, routes!(tools::list_tools)))
        .routes(scoped(WRITE, routes!(tools::create_tool)))
        .routes(scoped(READ, routes!(tools::get_tool)))
        .routes(scoped(WRITE, routes!(tools::change_tool, tools::delete_tool)))
        .routes(scoped(WRITE, routes!(tools::rotate_tool_secret)))
        .routes(scoped(READ, routes!(tool_policies::list_tool_policies)))
        .routes(scoped(WRITE, routes!(tool_policies::change_tool_policies)))
}
