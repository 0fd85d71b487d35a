//! Runs over HTTP: starting one in the background, reading, steering and cancelling it, and what its models were sent.
//!
//! Each handler parses, authorises, calls [`sequent_conversation`] and renders. An object of another tenant is not found.

mod cancel;
mod context;
mod create;
mod feedback;
mod replay;
mod runs;
mod steer;

use axum::Router;
use sequent_attachments::MessageContent;
use sequent_billing::Credits;
use sequent_conversation::{Prompt, RunStarter, RunStore, Runs};
use sequent_core::Principal;
use sequent_http::{Problem, Scope, axum::Extension, openapi, rate_limit::Class, scoped};
use sequent_identity::Vault;
use sequent_model::{AbilityTable, ModelName, OperatorTable};
use sequent_runlog::{DynamoStorage, Settings};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    starter: RunStarter,
    vault: Vault,
    abilities: OperatorTable<AbilityTable>,
}

impl App {
    /// Runs whose logs are in `storage`, which are paged with the cursor key in `vault` and charged for at `credits`.
    #[must_use]
    pub fn new(storage: DynamoStorage, settings: Settings, vault: Vault, credits: Credits) -> Self {
        let starter = RunStarter::new(RunStore::new(storage, settings), credits);
        Self { starter, vault, abilities: OperatorTable::fixed(AbilityTable::default()) }
    }

    /// Sets the abilities of the deployment's models.
    #[must_use]
    pub fn with_abilities(self, abilities: OperatorTable<AbilityTable>) -> Self {
        Self { abilities, ..self }
    }

    /// Accepts the content at the JSON pointer `at` as a message to the model. The worker chooses a model without a name.
    async fn accept(
        &self,
        caller: &Principal,
        content: MessageContent,
        model: Option<&ModelName>,
        at: &str,
    ) -> Result<Prompt, Problem> {
        let store = self.store().tables();
        Ok(sequent_attachments::accept(store, caller, content, model, &self.abilities, at).await?.prompt)
    }

    fn store(&self) -> &RunStore {
        self.starter.runs()
    }

    /// The runs that the caller may see.
    fn runs_of(&self, caller: &Principal) -> Runs<'_> {
        Runs::new(self.store().tables(), caller.tenant)
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

fn routed() -> OpenApiRouter<App> {
    let starts = OpenApiRouter::new()
        .routes(scoped(&[Scope::Chat], routes!(create::create)))
        .routes(scoped(&[Scope::Chat], routes!(replay::replay)))
        .route_layer(Extension(Class::Chat));
    OpenApiRouter::with_openapi(openapi::base())
        .merge(starts)
        .routes(scoped(&[Scope::RunsRead], routes!(runs::list)))
        .routes(scoped(&[Scope::RunsRead], routes!(runs::get)))
        .routes(scoped(&[Scope::RunsRead], routes!(context::context)))
        .routes(scoped(&[Scope::RunsWrite], routes!(cancel::cancel)))
        .routes(scoped(&[Scope::RunsWrite], routes!(feedback::give, feedback::remove)))
        .routes(scoped(&[Scope::RunsWrite], routes!(feedback::give_on_answer, feedback::remove_on_answer)))
        .routes(scoped(&[Scope::Chat], routes!(steer::steer)))
}
