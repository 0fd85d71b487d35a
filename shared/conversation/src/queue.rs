//! Getting a run executed by whoever is free: the mark that has it delivered, the message that delivers it, and the
//! sweep that finds what was not.
//!
//! The mark is an attribute of the run's row, so it is written with the row or not at all; the table's stream turns
//! every new mark into a message (a transactional outbox). A message says only that a run may want an owner. Whoever
//! gets it looks at the log, so messages may be lost, doubled and late without harm.

use std::{collections::BTreeSet, time::Duration};

use crate::{Projects, Role};
use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_core::{ProjectId, RunId, TenantId, Timestamp};
use sequent_runlog::LogKey;
use sequent_tables::{Error as DataError, Item, Key, Row, Store, classify, key};
use serde::{Deserialize, Serialize};

use crate::{Error, Run, Status};

/// How long after its mark a run counts as undelivered.
pub const GRACE: Duration = Duration::from_secs(30);

/// When the run was last marked, in milliseconds.
const MARK: &str = "queued_at";

/// Runs that may wait in one project before the order among them is no longer kept.
pub(crate) const LOOK_BACK: u32 = 50;

/// A message of the queue of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Whose.
    pub tenant_id: TenantId,
    /// The run that may want an owner.
    pub run_id: RunId,
}

impl Delivery {
    /// The message's text.
    #[must_use]
    pub fn to_json(self) -> String {
        serde_json::to_string(&self).expect("two ids serialise to a map")
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When it is not one of ours.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The run's log.
    #[must_use]
    pub fn key(self) -> LogKey {
        LogKey { tenant: self.tenant_id, run: self.run_id }
    }

    /// What a change of a row of `main` calls for: the run itself when it was marked anew, and its parent when it
    /// has ended. Other rows call for nothing.
    #[must_use]
    pub fn called_for(old: Option<&Item>, new: &Item) -> Vec<Self> {
        let Some((tenant_id, run_id)) = Key::of_item(new).as_ref().and_then(key::parse_run) else {
            return Vec::new();
        };
        let marked = new.get(MARK).is_some_and(|mark| old.and_then(|old| old.get(MARK)) != Some(mark));
        let ended = |item: &Item| {
            let status = item.get("status").cloned().map(serde_dynamo::from_attribute_value);
            matches!(status, Some(Ok(Status::Success | Status::Error | Status::Cancelled)))
        };
        let parent = text(new, "parent_run_id").and_then(|id| id.parse().ok());
        let parent = parent.filter(|_| ended(new) && !old.is_some_and(ended));
        let runs = marked.then_some(run_id).into_iter().chain(parent);
        runs.map(|run_id| Self { tenant_id, run_id }).collect()
    }
}

impl From<LogKey> for Delivery {
    fn from(key: LogKey) -> Self {
        Self { tenant_id: key.tenant, run_id: key.run }
    }
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// `row`, a new run's, marked for delivery.
pub(crate) fn marked(row: Row, run: RunId, now: Timestamp) -> Row {
    row.with(MARK, Value::N(now.millis().to_string())).gsi2(key::active_run(run, now + GRACE))
}

/// Has the run delivered, unless it has ended: then there is nothing to do.
///
/// # Errors
/// When the table fails.
pub async fn queue(store: &Store, key: LogKey) -> Result<(), Error> {
    let now = Timestamp::now();
    let index = key::active_run(key.run, now + GRACE);
    let status = |status: Status| Value::S(status.as_str().to_owned());
    let sent = store
        .client()
        .update_item()
        .table_name(&*store.tables().main)
        .set_key(Some(key::run(key.tenant, key.run).attributes()))
        .update_expression(format!("SET {MARK} = :now, gsi2pk = :pk, gsi2sk = :sk"))
        .condition_expression("attribute_exists(pk) AND #status IN (:pending, :running, :interrupted)")
        .expression_attribute_names("#status", "status")
        .expression_attribute_values(":now", Value::N(now.millis().to_string()))
        .expression_attribute_values(":pk", Value::S(index.pk().to_owned()))
        .expression_attribute_values(":sk", Value::S(index.sk().to_owned()))
        .expression_attribute_values(":pending", status(Status::Pending))
        .expression_attribute_values(":running", status(Status::Running))
        .expression_attribute_values(":interrupted", status(Status::Interrupted))
        .send()
        .await;
    match sent.map_err(classify) {
        Ok(_) | Err(DataError::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Has the first of the project's waiting runs delivered. For whoever has just ended a run and let go of its project;
/// if that is forgotten in a crash, the sweep makes up for it.
///
/// # Errors
/// When the table fails.
pub async fn wake_next(store: &Store, tenant: TenantId, project: ProjectId) -> Result<(), Error> {
    let waiting = unanswered(store, tenant, project).await?;
    let next = waiting.iter().filter(|run| run.status == Status::Pending).min_by_key(|run| run.id);
    match next {
        Some(run) => queue(store, LogKey { tenant, run: run.id }).await,
        None => Ok(()),
    }
}

/// Whether a run waits in the project for its turn. The project may be free meanwhile: between the end of one run and the
/// begin of the next it is nobody's.
///
/// # Errors
/// [`Error::NoProject`], or when the table fails.
pub async fn has_waiting(store: &Store, tenant: TenantId, project: ProjectId) -> Result<bool, Error> {
    let unanswered = unanswered(store, tenant, project).await?;
    Ok(unanswered.iter().any(|run| run.status == Status::Pending))
}

/// The runs that the latest messages of a project started and that have not answered yet.
pub(crate) async fn unanswered(
    store: &Store,
    tenant: TenantId,
    project: ProjectId,
) -> Result<Vec<Run>, Error> {
    let messages = match Projects::new(store, tenant).latest_messages(project, LOOK_BACK).await {
        Ok(messages) => messages,
        Err(crate::projects::Error::Data(error)) => return Err(error.into()),
        Err(_) => return Err(Error::NoProject),
    };
    let answered = |id| messages.iter().any(|other| other.run_id == id && other.role == Role::Assistant);
    let asked = messages.iter().filter(|message| message.role == Role::User);
    // A run may have several messages; a key may be asked for once.
    let ids: BTreeSet<RunId> = asked.map(|message| message.run_id).filter(|id| !answered(*id)).collect();
    let keys: Vec<_> = ids.into_iter().map(|id| key::run(tenant, id)).collect();
    Ok(store.get_many(&keys).await?)
}

/// A walk over the runs whose time in the index of active runs has come: their lease is over, their delivery is
/// overdue, or a question of theirs has expired.
#[derive(Debug)]
pub struct Sweep<'a> {
    store: &'a Store,
    before: String,
    shard: u8,
    after: Option<Item>,
}

impl<'a> Sweep<'a> {
    /// Entries a page has at most.
    const PAGE: i32 = 100;

    /// Of what is due at `now`.
    #[must_use]
    pub fn new(store: &'a Store, now: Timestamp) -> Self {
        Self { store, before: key::due_before(now), shard: 0, after: None }
    }

    /// The next page, which may be empty; `None` at the end.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn page(&mut self) -> Result<Option<Vec<Due<'a>>>, Error> {
        if self.shard >= key::ACTIVE_SHARDS {
            return Ok(None);
        }
        let output = self
            .store
            .client()
            .query()
            .table_name(&*self.store.tables().main)
            .index_name("gsi2")
            .key_condition_expression("gsi2pk = :pk AND gsi2sk < :before")
            .expression_attribute_values(":pk", Value::S(key::active_shard(self.shard)))
            .expression_attribute_values(":before", Value::S(self.before.clone()))
            .set_exclusive_start_key(self.after.take())
            .limit(Self::PAGE)
            .send()
            .await
            .map_err(classify)?;
        self.after = output.last_evaluated_key;
        if self.after.is_none() {
            self.shard += 1;
        }
        let due = output.items.unwrap_or_default().into_iter().filter_map(|item| {
            let (tenant, run) = key::parse_run(&Key::of_item(&item)?)?;
            let entry = text(&item, "gsi2sk")?.to_owned();
            Some(Due { store: self.store, key: LogKey { tenant, run }, entry })
        });
        Ok(Some(due.collect()))
    }
}

/// A run whose time has come.
#[derive(Debug)]
pub struct Due<'a> {
    store: &'a Store,
    key: LogKey,
    /// The sort key it was found under.
    entry: String,
}

impl Due<'_> {
    /// The run's log.
    #[must_use]
    pub fn key(&self) -> LogKey {
        self.key
    }

    /// Moves the run to `until`, if it still is where it was found. Of several sweeps one is told `true`.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn postpone(&self, until: Timestamp) -> Result<bool, Error> {
        let index = key::active_run(self.key.run, until);
        self.change("SET gsi2sk = :to", Some(Value::S(index.sk().to_owned()))).await
    }

    /// Takes the run out of the index, if it still is where it was found.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn forget(&self) -> Result<bool, Error> {
        self.change("REMOVE gsi2pk, gsi2sk", None).await
    }

    async fn change(&self, update: &str, to: Option<Value>) -> Result<bool, Error> {
        let mut request = self
            .store
            .client()
            .update_item()
            .table_name(&*self.store.tables().main)
            .set_key(Some(key::run(self.key.tenant, self.key.run).attributes()))
            .update_expression(update)
            .condition_expression("gsi2sk = :entry")
            .expression_attribute_values(":entry", Value::S(self.entry.clone()));
        if let Some(to) = to {
            request = request.expression_attribute_values(":to", to);
        }
        match request.send().await.map_err(classify) {
            Ok(_) => Ok(true),
            Err(DataError::Conflict(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
