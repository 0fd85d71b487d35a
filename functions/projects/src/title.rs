//! Generated names of projects.

use axum::{extract::State, response::IntoResponse};
use sequent_conversation::{
    MessageRole, Project,
    naming::{FirstExchange, spend},
};
use sequent_core::{Code, ProjectId, Timestamp};
use sequent_http::{Caller, Json, Path, Problem, RequestContext, openapi::Problems};

use crate::App;

/// Generate the name of a project from its first messages.
///
/// Asks the default model for a short title and stores it. If there is no usable title after ten seconds, the
/// name is the beginning of the first message. The demo provider adds the label `Demo` to it.
#[utoipa::path(
    post,
    path = "/api/projects/{id}/generate_name",
    operation_id = "generate_project_name",
    tag = "projects",
    params(("id" = ProjectId, Path, description = "The project.")),
    responses(
        (status = 200, description = "The project with its new name.", body = Project),
        (status = 404, description = "The tenant has no such project."),
        (status = 409, description = "The project has no messages (`no_messages`), or no model is configured (`model_not_configured`)."),
        Problems
    ),
)]
pub(crate) async fn generate_project_name(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<ProjectId>,
    context: RequestContext,
) -> Result<impl IntoResponse, Problem> {
    let projects = app.projects(&caller);
    projects.get(id).await?;
    let messages = projects.first_turn(id).await?;
    let first = |role| {
        messages.iter().find(|message| message.role == role).map(|message| message.text().into_owned())
    };
    let Some(question) = first(MessageRole::User) else {
        return Err(Problem::new(Code::NoMessages, "The project has no messages. Send one first."));
    };
    let answer = first(MessageRole::Assistant).unwrap_or_default();
    if let Some(credits) = &app.credits {
        let spent = spend(credits, caller.tenant, &question, &answer).await;
        spent.map_err(sequent_conversation::Error::from)?;
    }
    let exchange = FirstExchange { question: &question, answer: &answer };
    let found = Box::pin(app.namer().name(caller.tenant, exchange, context.request_id())).await;
    Ok(Json(projects.rename(id, found.name, Timestamp::now()).await?))
}
