//! The messages of a project.

use axum::extract::State;
use sequent_conversation::{History, ShownMessage, UiHistoryMessage};
use sequent_core::{ProjectId, RunId};
use sequent_http::{Caller, Json, Limit, ListResponse, Path, Problem, Query, openapi::Problems};
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{Ref, RefOr, Schema, schema::AnyOfBuilder},
};

use crate::App;

/// The query of `GET /api/projects/{id}/messages`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessagesQuery {
    /// Maximum number of items; 50 if not given. A page of long messages has fewer.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page, with the same `branch`.
    cursor: Option<String>,
    /// A run whose branch is listed: the runs that it continues, the run, and the newest of those that continue it. The branch
    /// that ends with the project's head if not given.
    branch: Option<RunId>,
    /// The form of the messages; `parts` if not given.
    #[serde(default)]
    #[param(inline)]
    format: MessageFormat,
}

/// The form of messages.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MessageFormat {
    /// Messages with their parts.
    #[default]
    Parts,
    /// Messages of the AI SDK, for `useChat({ messages })`.
    Ui,
}

type MessageList = ListResponse<ShownMessage>;
type UiHistoryMessageList = ListResponse<UiHistoryMessage>;

/// One page in the form that was asked for.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum MessagePage {
    Parts(MessageList),
    Ui(UiHistoryMessageList),
}

// Not derived: `oneOf` would refuse an empty page, which has both forms.
impl PartialSchema for MessagePage {
    fn schema() -> RefOr<Schema> {
        let forms = [MessageList::name(), UiHistoryMessageList::name()];
        let any =
            forms.into_iter().fold(AnyOfBuilder::new(), |any, form| any.item(Ref::from_schema_name(form)));
        RefOr::T(Schema::AnyOf(any.build()))
    }
}

impl ToSchema for MessagePage {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        for (name, schema) in [
            (MessageList::name(), MessageList::schema()),
            (UiHistoryMessageList::name(), UiHistoryMessageList::schema()),
        ] {
            schemas.push((name.into_owned(), schema));
        }
        MessageList::schemas(schemas);
        UiHistoryMessageList::schemas(schemas);
    }
}

/// List the messages of a project.
///
/// The list has one branch of the conversation; `siblings` names the others where they part. A message has its parts in the
/// order in which they were written: text, reasoning, calls of tools with input and output,
/// sources and artifacts. The answer of a run is added when the run has ended. Follow the run to receive it while it is
/// written. With `format=ui` the messages are those that the AI SDK's `useChat` has built from the streams: one run is one
/// answer, and a page ends with a whole answer, so it may have one message more than `limit`. The answer of a run that waits is
/// there, with the calls that wait for the client or for a person.
#[utoipa::path(
    get,
    path = "/api/projects/{id}/messages",
    operation_id = "list_messages",
    tag = "projects",
    params(("id" = ProjectId, Path, description = "The project."), MessagesQuery),
    responses(
        (status = 200, description = "One page, oldest first.", body = MessagePage),
        (status = 404, description = "The tenant has no such project."),
        Problems
    ),
)]
pub(crate) async fn list_messages(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<ProjectId>,
    Query(query): Query<MessagesQuery>,
) -> Result<Json<MessagePage>, Problem> {
    let secret = app.vault.get().await?;
    let cursors = secret.cursor();
    let cursor = query.cursor.as_deref();
    let limit = query.limit.map(Limit::get);
    let history = History::new(&app.storage, caller.tenant).through(query.branch);
    Ok(Json(match query.format {
        MessageFormat::Parts => {
            let page = Box::pin(history.page(id, cursors, cursor, limit)).await?;
            MessagePage::Parts(ListResponse::new(page, cursors))
        }
        MessageFormat::Ui => {
            let page = Box::pin(history.ui_page(id, cursors, cursor, limit)).await?;
            MessagePage::Ui(ListResponse::new(page, cursors))
        }
    }))
}
