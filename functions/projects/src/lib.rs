//! Projects, which are conversations, and their messages over HTTP.
//!
//! Thin: each handler parses, authorises, calls [`sequent_conversation`] and renders. A project of another
//! tenant is not found.

mod fork;
mod messages;
mod projects;
mod title;

use axum::{Extension, Router, middleware::from_fn};
use sequent_billing::Credits;
use sequent_conversation::naming::Namer;
use sequent_core::Principal;
use sequent_definitions::ServicePrompts;
use sequent_http::{Scope, idempotency, openapi, rate_limit::Class, scoped};
use sequent_identity::Vault;
use sequent_model::Client;
use sequent_runlog::DynamoStorage;
use sequent_tables::Store;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    store: Store,
    /// Has the logs of the runs that answered.
    storage: DynamoStorage,
    /// Has the key of the cursors.
    vault: Vault,
    /// Generates names. Without it a project is named after its first message.
    models: Option<Client>,
    /// The instructions of the model that generates names.
    prompts: ServicePrompts,
    /// Limits what names cost. Without it they cost nothing.
    credits: Option<Credits>,
}

impl App {
    /// Creates the state of the handlers.
    #[must_use]
    pub fn new(store: Store, vault: Vault, models: Option<Client>) -> Self {
        let storage = DynamoStorage::new(store.clone());
        let prompts = ServicePrompts::new(store.clone());
        Self { store, storage, vault, models, prompts, credits: None }
    }

    /// Counts the model calls for names as the costs of their tenants.
    #[must_use]
    pub fn with_credits(self, credits: Credits) -> Self {
        Self { credits: Some(credits), ..self }
    }

    /// Instructs the model with these prompts.
    #[must_use]
    pub fn with_prompts(self, prompts: ServicePrompts) -> Self {
        Self { prompts, ..self }
    }

    fn namer(&self) -> Namer {
        Namer::new(self.models.clone(), self.prompts.clone())
    }

    /// The projects of the caller's tenant.
    fn projects(&self, caller: &Principal) -> sequent_conversation::Projects<'_> {
        sequent_conversation::Projects::new(&self.store, caller.tenant)
    }
}

/// The routes of the function.
pub fn router(app: App) -> Router {
    routed().split_for_parts().0.with_state(app)
}

/// The function's part of the API description.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter<App> {
    // A fork stores much for one request.
    let fork = routes!(fork::fork_project).layer(from_fn(idempotency::layer));
    let fork = scoped(&[Scope::ProjectsWrite], fork).layer(Extension(Class::Chat));
    // The model call that finds a name costs money.
    let names = scoped(&[Scope::ProjectsWrite, Scope::Chat], routes!(title::generate_project_name));
    OpenApiRouter::with_openapi(openapi::base())
        .routes(scoped(&[Scope::ProjectsRead], routes!(projects::list_projects)))
        .routes(scoped(
            &[Scope::ProjectsWrite],
            routes!(projects::create_project).layer(from_fn(idempotency::layer)),
        ))
        .routes(scoped(&[Scope::ProjectsRead], routes!(projects::get_project)))
        .routes(scoped(&[Scope::ProjectsWrite], routes!(projects::update_project, projects::delete_project)))
        .routes(scoped(&[Scope::ProjectsRead], routes!(messages::list_messages)))
        .routes(fork)
        .routes(names.layer(Extension(Class::Chat)))
}
