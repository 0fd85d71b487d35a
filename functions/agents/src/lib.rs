//! Agents and prompts over HTTP: their versions, their labels, and the default agent.
//!
//! Each handler parses, authorises, calls [`sequent_definitions`] and renders. An agent or a prompt of another tenant is not
//! found.

mod agent_versions;
mod agents;
mod default_agent;
mod labels;
mod prompt_versions;
mod prompts;
mod starters;

use axum::{Router, middleware::from_fn};
use sequent_definitions::{Agents, Prompts};
use sequent_http::{Scope, idempotency, openapi, scoped};
use sequent_identity::Vault;
use sequent_tables::Store;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    agents: Agents,
    /// Has the key of the cursors.
    vault: Vault,
}

impl App {
    /// The agents and prompts in `store`.
    #[must_use]
    pub fn new(store: Store, vault: Vault) -> Self {
        Self { agents: Agents::new(store), vault }
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
    OpenApiRouter::with_openapi(openapi::base()).merge(agents_routed()).merge(prompts_routed())
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
