//! Sending messages and following runs, over streams that survive a lost connection.
//!
//! Every stream is a projection of a run's log. A route that starts a run and one that only follows it both end in the
//! `stream` module, and a client that lost its connection continues any stream from its cursor.

mod agent_preview;
mod ai_sdk;
mod chats;
mod continuation;
mod event_source;
mod events;
mod feed;
mod follow;
mod frame_schema;
mod resume;
mod send;
mod stream;
mod stream_slot;
mod tail;
mod ui_answers;
mod ui_content;
mod ui_stream;

use sequent_agent::Engine;
use sequent_attachments::MessageContent;
use sequent_billing::Credits;
use sequent_conversation::{Projects, Prompt, RunStarter, Runs};
use sequent_core::Principal;
use sequent_feed::Feed;
use sequent_http::{
    BodyLimit, Problem, Scope,
    axum::{Extension, Router, routing::get},
    csrf::Protection,
    guarded, openapi,
    rate_limit::Class,
    scoped,
};
use sequent_model::ModelName;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

/// Bytes of a message with files inside: what Lambda takes (AWS Lambda, "Quotas"), so 4 MB of files in Base64 and the
/// history that clients of the AI SDK send along.
const MAX_BODY: usize = 6 << 20;

/// The state of the handlers.
#[derive(Debug, Clone)]
pub struct App {
    engine: Engine,
    starter: RunStarter,
}

/// A message that was accepted.
struct Question {
    prompt: Prompt,
    /// Starts the run that answers, together with the rows that the message brings.
    starter: RunStarter,
}

impl App {
    /// Executes runs with `engine` and charges for them at `credits`.
    #[must_use]
    pub fn new(engine: Engine, credits: Credits) -> Self {
        let starter = RunStarter::new(engine.runs(), credits).with_agents(engine.agents.clone());
        Self { engine, starter }
    }

    /// Accepts the content at the JSON pointer `at` as a message to the model, or to the default model, decodes its images, and
    /// puts the bytes of the files inside it.
    async fn accept(
        &self,
        caller: &Principal,
        content: MessageContent,
        model: Option<&ModelName>,
        at: &str,
    ) -> Result<Question, Problem> {
        let model = match model {
            None if content.has_files() => Some(self.engine.models.default_model().await),
            model => model.cloned(),
        };
        let store = self.engine.store();
        let abilities = self.engine.models.abilities();
        let accepted =
            sequent_attachments::accept(store, caller, content, model.as_ref(), abilities, at).await?;
        let rows = match &self.engine.artifacts {
            Some(artifacts) => {
                let extractor = &self.engine.extractor;
                accepted.check_images(artifacts, extractor, caller.tenant, at).await?;
                accepted.keep(artifacts, caller.tenant).await?
            }
            None if accepted.has_files() => return Err(Problem::internal("the function has no artifacts")),
            None => None,
        };
        Ok(Question { prompt: accepted.prompt, starter: self.starter.with_rows(rows) })
    }

    /// The runs that the caller may see.
    fn runs_of(&self, caller: &Principal) -> Runs<'_> {
        Runs::new(self.engine.store(), caller.tenant)
    }

    /// The feeds of all tenants.
    fn feed(&self) -> Feed {
        Feed::new(self.engine.store().clone())
    }

    /// The projects that the caller may see.
    fn projects_of(&self, caller: &Principal) -> Projects<'_> {
        Projects::new(self.engine.store(), caller.tenant)
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
        .routes(scoped(&[Scope::Chat], routes!(send::send)))
        .routes(scoped(&[Scope::Chat], routes!(ai_sdk::send)).layer(Extension(BodyLimit(MAX_BODY))))
        .routes(scoped(&[Scope::RunsWrite], routes!(resume::resume)))
        .routes(scoped(&[Scope::RunsWrite], routes!(resume::resume_thread)))
        .routes(scoped(&[Scope::Chat], routes!(send::send_to_thread)))
        .route_layer(Extension(Class::Chat));
    let starts_by_get = OpenApiRouter::new()
        .routes(scoped(&[Scope::Chat], routes!(event_source::stream)))
        .route_layer(Extension(Protection::TrustedPage))
        .route_layer(Extension(Class::Chat));
    OpenApiRouter::with_openapi(openapi::base())
        .routes(scoped(&[Scope::RunsRead], routes!(events::events)))
        .routes(scoped(&[Scope::RunsRead], routes!(follow::follow)))
        .routes(scoped(&[Scope::AgentsRead], routes!(agent_preview::preview_agent)))
        .routes(scoped(&[Scope::RunsRead], routes!(feed::follow_feed)))
        .routes(scoped(&[Scope::RunsRead, Scope::ProjectsRead], routes!(feed::snapshot::get_feed_snapshot)))
        .route("/api/chat/{id}/{*rest}", guarded(&[Scope::RunsRead], get(follow::follow_with_slashes)))
        .merge(starts)
        .merge(starts_by_get)
}
