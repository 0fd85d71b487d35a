//! Projects, which are conversations, and their messages over HTTP.
//!
//! Thin: each handler parses, authorises, asks [`sequent_conversation`] and renders. What a caller may not see is not found.

mod messages;
mod projects;
mod title;

use axum::{Extension, Router, middleware::from_fn};
use sequent_http::{Principal, Problem, idempotency, openapi, rate_limit::Class};
use sequent_identity::Vault;
use sequent_model::Client;
use sequent_tables::Store;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

/// What the handlers share.
#[derive(Clone)]
pub struct Conversations {
    store: Store,
    vault: Vault,
    models: Option<Client>,
}

impl Conversations {
    /// Projects in `store`, paged with the cursor key in `vault` and named by `models`, or after their first message without.
    #[must_use]
    pub fn new(store: Store, vault: Vault, models: Option<Client>) -> Self {
        Self { store, vault, models }
    }

    /// The projects of the caller's tenant.
    fn of(&self, caller: &Principal) -> sequent_conversation::Projects<'_> {
        sequent_conversation::Projects::new(&self.store, caller.tenant)
    }
}

/// The function's routes.
pub fn router(conversations: Conversations) -> Router {
    routed().split_for_parts().0.with_state(conversations)
}

/// The function's part of the API's document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter<Conversations> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(projects::list))
        .routes(routes!(projects::create).layer(from_fn(idempotency::layer)))
        .routes(routes!(projects::get, projects::change, projects::delete))
        .routes(routes!(messages::list))
        .routes(routes!(title::generate).layer(Extension(Class::Chat)))
}

/// What a caller is told when a project operation fails.
fn problem(error: sequent_conversation::projects::Error) -> Problem {
    use sequent_conversation::projects::Error;
    match error {
        Error::NotFound => Problem::not_found("There is no such project."),
        Error::Live(run) => {
            Problem::conflict("run_in_progress", "The project has a live run. Cancel it or wait for its end.")
                .with("run_id", run.to_string())
        }
        Error::Cursor(error) => error.into(),
        Error::Data(error) => error.into(),
    }
}
