//! The tree of a conversation: each run continues another one, and the project has a head, which the next run continues.
//!
//! Invariants:
//!
//! * The transaction that creates a run moves the head to it, also if the run waits for the turn.
//! * A run continues the branch of its predecessor only if that is the head, has been since it was created, and still is when
//!   the run is created. Any other run begins a branch of its own. So a branch has at most one run of each depth.
//! * `next` in the project's row is the lineage of the run that continues the head.

use std::str::FromStr;

use sequent_core::{MessageId, ProjectId, RunId, TenantId};
use sequent_event::{ApprovedTool, Lineage};
use sequent_tables::{Condition, Key, Page, PageRequest, Store, Update, attribute, key};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Message, Project, Projects, Run};

/// Branches of a conversation at most. It bounds what a page of the messages reads of other branches, and the runs that are
/// read to find the beginning of a branch.
pub(crate) const MAX_BRANCHES: u32 = 1_000;

/// The place at which a new run continues its conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Continues {
    /// After the head of the project.
    #[default]
    Head,
    /// As [`Head`](Self::Head); but if this run, which is rolled back, is the head, in its place.
    HeadWithout(RunId),
    /// At the beginning of the conversation.
    Start,
    /// After this run of the project.
    Run(RunId),
    /// After the run that this one continues: a sibling of it.
    Beside(RunId),
    /// At this place, beside the run that was found there when the request arrived. It may have been rolled back since.
    At(Lineage),
}

/// A turn of a conversation as a request names it: a run, one of its messages, or `start`, the time before the first turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the type says it")]
pub enum TurnReference {
    Start,
    Run(RunId),
    Message(MessageId),
}

impl FromStr for TurnReference {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "start" {
            return Ok(Self::Start);
        }
        let run = text.parse().map(Self::Run);
        run.or_else(|_| text.parse().map(Self::Message))
            .map_err(|_| "must be `start`, or the id of a run or a message")
    }
}

impl<'de> Deserialize<'de> for TurnReference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for TurnReference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Start => serializer.serialize_str("start"),
            Self::Run(run) => run.serialize(serializer),
            Self::Message(message) => message.serialize(serializer),
        }
    }
}

impl Continues {
    /// Fixes the place beside a run. The run may lose its messages before the new one is created: it may be the one that the
    /// request rolls back.
    pub(crate) async fn fixed(
        self,
        store: &Store,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<Self, Error> {
        let Self::Beside(run) = self else { return Ok(self) };
        let project = Projects::new(store, tenant).get(project).await?;
        Ok(Self::At(located(store, tenant, &project, run).await?))
    }
}

/// The place of a new run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) lineage: Lineage,
    /// The tools whose calls people have approved for the rest of the conversation.
    pub(crate) approved_tools: Vec<ApprovedTool>,
    required: HeadCondition,
}

/// The state of the head that the place of a new run depends on: it must not have moved when the run is created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum HeadCondition {
    /// The place is that of a branch of its own, wherever the head is.
    #[default]
    None,
    /// The run continues the head.
    Continued,
    /// This run is the head.
    Is(RunId),
}

impl Position {
    /// Finds the place of a new run in an existing project.
    pub(crate) async fn of(
        store: &Store,
        tenant: TenantId,
        project: ProjectId,
        continues: Continues,
    ) -> Result<Self, Error> {
        let project = Projects::new(store, tenant).get(project).await?;
        let at = |lineage: Lineage, required: HeadCondition| Self {
            lineage,
            approved_tools: project.approvals().collect(),
            required,
        };
        let of_head = at(project.next, HeadCondition::Continued);
        let branching = |lineage: Lineage| at(lineage.forking(), HeadCondition::None);
        let position = match continues {
            Continues::Head => of_head,
            Continues::Run(run) if project.head == Some(run) => of_head,
            Continues::Start if project.head.is_none() => of_head,
            Continues::HeadWithout(run) if project.head != Some(run) => of_head,
            Continues::HeadWithout(run) => {
                Self { required: HeadCondition::Is(run), ..branching(lineage_of(store, tenant, run).await?) }
            }
            Continues::At(lineage) => branching(lineage),
            Continues::Start => branching(Lineage::default()),
            Continues::Run(run) => branching(located(store, tenant, &project, run).await?.next(run)),
            Continues::Beside(run) => branching(located(store, tenant, &project, run).await?),
        };
        // A run that continues the head, or takes its place, is accepted: otherwise nothing could be sent any more.
        let is_branch = position.lineage.forks && position.required == HeadCondition::None;
        if is_branch && project.is_full() { Err(Error::TooManyBranches) } else { Ok(position) }
    }

    /// Moves the head of the project to the new run.
    pub(crate) fn move_head(&self, update: Update, run: RunId) -> Update {
        let update = set_head(update, self.lineage.next(run));
        let update = if self.lineage.forks { update.add("branches", 1) } else { update };
        match self.required {
            HeadCondition::None => update,
            HeadCondition::Continued => update.when(is_next(self.lineage)),
            HeadCondition::Is(head) => update.when(attribute("head").equals(head)),
        }
    }
}

/// Finds the run of a message.
pub(crate) async fn run_of_message(
    store: &Store,
    tenant: TenantId,
    project: ProjectId,
    message: MessageId,
) -> Result<Option<RunId>, Error> {
    let list = PageRequest::new(key::messages(tenant, project)).limit(Some(PageRequest::MAX_LIMIT));
    let mut request = Some(list.clone());
    while let Some(at) = request {
        let page: Page<Message> = store.page(&at).await?;
        if let Some(found) = page.items.iter().find(|row| row.id == message) {
            return Ok(Some(found.run_id));
        }
        request = page.last_key().map(|last| list.clone().after(last));
    }
    Ok(None)
}

/// The update that makes `run` the head of its project.
pub(crate) async fn head_update(
    store: &Store,
    tenant: TenantId,
    project: &Project,
    run: RunId,
) -> Result<Update, Error> {
    // The next run will be a branch.
    if project.is_full() {
        return Err(Error::TooManyBranches);
    }
    let lineage = located(store, tenant, project, run).await?;
    // Another run may continue it already.
    Ok(set_head(Update::of(&key::project(tenant, project.id)), lineage.next(run).forking()))
}

/// Makes the run that `next` continues the head of the project.
pub(crate) fn set_head(update: Update, next: Lineage) -> Update {
    update.set("head", next.after).set("next", next)
}

/// Requires that the run which continues the head still has this lineage.
fn is_next(lineage: Lineage) -> Condition {
    let head = attribute("head");
    let is_head = match lineage.after {
        Some(run) => head.equals(run),
        None => head.is_none(),
    };
    let forks = attribute(["next", "forks"]);
    is_head.and(if lineage.forks { forks.equals(true) } else { forks.is_absent() })
}

/// Moves the head back to the run that `run` continues. Requires that `run`, which is rolled back, is the head. Its branch is
/// not counted any more.
pub(crate) fn rewind(update: Update, run: RunId, lineage: Lineage) -> Update {
    let update = if lineage.forks { update.add("branches", -1) } else { update };
    set_head(update, lineage.forking()).when(attribute("head").equals(run))
}

/// Reads the lineage of a run.
pub(crate) async fn lineage_of(store: &Store, tenant: TenantId, run: RunId) -> Result<Lineage, Error> {
    let run: Option<Run> = store.get(&key::run(tenant, run)).await?;
    Ok(run.ok_or(Error::RunNotFound)?.lineage)
}

/// Finds a run in the conversation.
pub(crate) async fn located(
    store: &Store,
    tenant: TenantId,
    project: &Project,
    run: RunId,
) -> Result<Lineage, Error> {
    let lineage = match lineage_of(store, tenant, run).await {
        Err(Error::RunNotFound) => return Err(Error::UnknownTurn),
        lineage => lineage?,
    };
    // Child runs, and runs that were rolled back, have no message in the conversation.
    let prefix = key::message_prefix(lineage.depth, run);
    let list = PageRequest::new(key::messages(tenant, project.id)).oldest_first();
    let page = store.page_items(&list.after(prefix.as_str()).limit(Some(1))).await?;
    let first = page.items.first().and_then(Key::of_item);
    let is_there = first.is_some_and(|key| key.sk().starts_with(&prefix));
    if is_there { Ok(lineage) } else { Err(Error::UnknownTurn) }
}
