//! `GET /api/feed`: the changes of a tenant, as a stream or by page.

pub(crate) mod snapshot;
mod stream;

use std::collections::BTreeMap;

use http::HeaderMap;
use sequent_conversation::ProjectName;
use sequent_core::{Principal, ProjectId, TenantId, Timestamp};
use sequent_feed::{ChangeKind, Feed, FeedEntry};
use sequent_http::{
    Caller, Json, Problem, Query, RequestContext,
    axum::{
        extract::State,
        response::{IntoResponse, Response},
    },
    openapi::Problems,
};
use sequent_tables::{Error as TableError, Key, Store, key};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::{IntoParams, ToSchema};

use crate::{
    App,
    events::{EventLimit, cursor, wants_json},
};

/// Entries that one request reads at most to find those of the types that it asks for.
const MOST_READ: usize = 1_000;
/// Entries of one read, however few the request asks for: those of a type may be far apart.
const AT_ONCE: usize = 100;

/// The query of `GET /api/feed`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FeedQuery {
    /// Start after the entry with this `seq`. `Last-Event-ID` takes precedence.
    #[serde(default)]
    #[param(pattern = "^[0-9]+$")]
    after: Option<String>,
    /// The types of the entries, separated by commas. All that the credential may see if not given.
    #[serde(default, deserialize_with = "kinds")]
    #[param(value_type = Option<String>, example = "run.ended,credits.low")]
    types: Option<Vec<ChangeKind>>,
    /// Most entries of a page; 100 if not given.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: EventLimit,
}

fn kinds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<ChangeKind>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let kind = |name: &str| name.parse().map_err(|error| D::Error::custom(format!("`{name}` is {error}")));
    text.split(',').map(kind).collect::<Result<_, _>>().map(Some)
}

/// An entry of the feed, with the present name of its conversation.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownEntry {
    #[serde(flatten)]
    entry: FeedEntry,
    /// The name of the conversation as it is now. Absent if the entry belongs to none, or if it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    project_name: Option<ProjectName>,
}

/// A page of the feed.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeedResponse {
    /// The entries in order.
    entries: Vec<ShownEntry>,
    /// `after` of the next page, also if there is none yet. It may be after the last entry, if entries of other types follow.
    next_after: u64,
    /// The feed has more entries.
    has_more: bool,
}

/// Follow the changes of a tenant.
///
/// Each entry tells of one change: a run was created, has asked or has ended, a conversation was renamed, an artifact was stored.
/// `seq` counts 1, 2, 3, without gaps. As `text/event-stream`, the entries after the cursor, and then each new one within seconds:
/// `id` is the `seq`, `event` the type. An `id` without data moves the cursor past entries of other types. The stream is cut after a minute, and the client reconnects with `Last-Event-ID`. With
/// `Accept: application/json`, one page. An entry is kept for 30 days: a cursor before the first entry that is left gets
/// 410 `cursor_expired`, and begins again with `GET /api/feed/snapshot`. A key sees the types whose scopes it has. Ignore
/// types that you do not know.
#[utoipa::path(
    get,
    path = "/api/feed",
    operation_id = "follow_feed",
    tag = "feed",
    params(
        FeedQuery,
        ("Last-Event-ID" = Option<String>, Header, pattern = "^[0-9]*$", description = "`seq` of the last entry received. An empty value means none."),
    ),
    responses(
        (status = 200, description = "The entries.", content((FeedResponse = "application/json"), (ShownEntry = "text/event-stream"))),
        (status = 410, description = "Entries after the cursor have expired (`cursor_expired`)."),
        Problems,
    ),
)]
pub(crate) async fn follow_feed(
    State(app): State<App>,
    Caller(caller): Caller,
    context: RequestContext,
    Query(query): Query<FeedQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = cursor(&headers, query.after.as_deref())?.0;
    let visible = Visible::of(&caller, query.types)?;
    let feed = app.feed();
    if wants_json(&headers) {
        let page = page(&app, &feed, &caller, visible, after, query.limit.get()).await?;
        return Ok(Json(page).into_response());
    }
    // A cursor that is not allowed is refused before the stream begins.
    feed.page(caller.tenant, after, 1, Timestamp::now()).await?;
    stream::follow(&app, &context, caller.tenant, visible, after).await
}

async fn page(
    app: &App,
    feed: &Feed,
    caller: &Principal,
    visible: Visible,
    after: u64,
    limit: usize,
) -> Result<FeedResponse, Problem> {
    let mut next_after = after;
    let mut found: Vec<FeedEntry> = Vec::new();
    let mut has_more = true;
    let mut read = 0;
    while has_more && found.len() < limit && read < MOST_READ {
        let page = feed.page(caller.tenant, next_after, AT_ONCE, Timestamp::now()).await?;
        has_more = page.has_more;
        if page.entries.is_empty() {
            break;
        }
        for entry in page.entries {
            if found.len() == limit {
                has_more = true;
                break;
            }
            read += 1;
            next_after = entry.seq;
            if visible.shows(&entry) {
                found.push(entry);
            }
        }
    }
    let entries = shown(app.engine.store(), caller.tenant, found).await?;
    Ok(FeedResponse { entries, next_after, has_more })
}

/// The kinds of entries that a reader sees.
#[derive(Debug, Clone)]
struct Visible(Vec<ChangeKind>);

impl Visible {
    /// The kinds that the caller asks for, or all that it may see.
    ///
    /// # Errors
    /// If the caller asks for a kind that it may not see.
    fn of(caller: &Principal, asked: Option<Vec<ChangeKind>>) -> Result<Self, Problem> {
        if let Some(asked) = asked {
            for kind in &asked {
                caller.require(kind.scope())?;
            }
            return Ok(Self(asked));
        }
        let may_see = |kind: &ChangeKind| caller.require(kind.scope()).is_ok();
        Ok(Self(ChangeKind::ALL.into_iter().filter(may_see).collect()))
    }

    fn shows(&self, entry: &FeedEntry) -> bool {
        self.0.contains(&entry.change.kind())
    }
}

/// Adds the present names of the conversations. The feed itself has no text, which would have to be deleted with them.
async fn shown(
    store: &Store,
    tenant: TenantId,
    entries: Vec<FeedEntry>,
) -> Result<Vec<ShownEntry>, TableError> {
    #[derive(Deserialize)]
    struct NamedProject {
        id: ProjectId,
        name: ProjectName,
        #[serde(default)]
        deleting: bool,
    }

    let mut names: BTreeMap<ProjectId, Option<ProjectName>> =
        entries.iter().filter_map(|entry| entry.change.project()).map(|id| (id, None)).collect();
    let keys: Vec<Key> = names.keys().map(|id| key::project(tenant, *id)).collect();
    let projects: Vec<NamedProject> = store.get_many(&keys).await?;
    for project in projects.into_iter().filter(|project| !project.deleting) {
        names.insert(project.id, Some(project.name));
    }
    let named = |entry: FeedEntry| {
        let project_name = entry.change.project().and_then(|id| names.get(&id)?.clone());
        ShownEntry { entry, project_name }
    };
    Ok(entries.into_iter().map(named).collect())
}
