//! Adding entries to a feed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sequent_core::{RunId, TenantId, Timestamp};
use sequent_tables::{
    Error as TableError, Key, Retry, Row, Transaction, Update, Write, absent, attribute, key,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{Error, Feed, FeedChange, feed::HeadRow, segment::Segment};

/// Entries of a segment. Each may need two writes beside the head and the segment itself, of the 100 of a transaction.
const MOST_ENTRIES: usize = 48;
/// Time for which it is known that a change was told: longer than a stream keeps its records, which is a day.
const REMEMBERED: Duration = Duration::from_secs(48 * 3600);
/// The marks of a run's beginning and end.
const CREATED: &str = "created";
const ENDED: &str = "ended";

/// The cause of a change, by which its record is recognised when it comes again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cause {
    subject: String,
    mark: String,
}

impl Cause {
    /// The creation of a run.
    #[must_use]
    pub fn creation_of(run: RunId) -> Self {
        Self::within(run, CREATED)
    }

    /// The end of a run.
    #[must_use]
    pub fn end_of(run: RunId) -> Self {
        Self::within(run, ENDED)
    }

    /// A change between the two. A run has one such change for each mark.
    #[must_use]
    pub fn within(run: RunId, mark: impl Into<String>) -> Self {
        Self { subject: run.to_string(), mark: mark.into() }
    }

    /// A change that has no other name than this one.
    #[must_use]
    pub fn of(name: String) -> Self {
        Self { subject: name, mark: "told".to_owned() }
    }
}

/// A change with its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct Caused {
    pub cause: Cause,
    pub change: FeedChange,
}

/// The causes that were told, by their subjects.
type Told = BTreeMap<String, BTreeSet<String>>;

impl Feed {
    /// Adds the changes that were not added before, in this order. Returns the number of new entries. A tenant that was deleted
    /// gets none.
    ///
    /// # Errors
    /// If the table fails. Some of the changes may be added then, and a repeated call adds the others.
    pub async fn append(
        &self,
        tenant: TenantId,
        changes: Vec<Caused>,
        now: Timestamp,
    ) -> Result<usize, Error> {
        let mut seen = BTreeSet::new();
        let new: Vec<Caused> =
            changes.into_iter().filter(|caused| seen.insert(caused.cause.clone())).collect();
        let mut added = 0;
        for part in new.chunks(MOST_ENTRIES) {
            added += Box::pin(self.append_segment(tenant, part.to_vec(), now)).await?;
        }
        Ok(added)
    }

    /// Adds one segment. The first try supposes that all changes are new. If a condition does not hold, the head and the causes
    /// are read again.
    async fn append_segment(
        &self,
        tenant: TenantId,
        mut changes: Vec<Caused>,
        now: Timestamp,
    ) -> Result<usize, Error> {
        let mut tries = Retry::CONTENDED.tries();
        let mut told = Told::new();
        loop {
            changes.retain(|caused| !told.knows(&caused.cause));
            if changes.is_empty() {
                return Ok(0);
            }
            let head = self.head_row(tenant).await?;
            if head.is_none() && !self.exists(tenant).await? {
                return Ok(0);
            }
            let transaction = transaction(tenant, head, &changes, &told, now)?;
            match self.store.commit_within(transaction, &mut tries).await {
                Ok(()) => return Ok(changes.len()),
                Err(cancelled) if cancelled.any_refused() => {
                    if !tries.pause().await {
                        return Err(TableError::from(cancelled).into());
                    }
                    told = self.told(tenant, &changes).await?;
                }
                Err(cancelled) => return Err(TableError::from(cancelled).into()),
            }
        }
    }

    /// Returns `true` if the tenant exists. The deletion of a tenant deletes the head of its feed after the tenant.
    async fn exists(&self, tenant: TenantId) -> Result<bool, TableError> {
        let row: Option<IgnoredAny> = self.store.get(&key::tenant(tenant)).await?;
        Ok(row.is_some())
    }

    /// Reads what was told of the subjects of these changes.
    async fn told(&self, tenant: TenantId, changes: &[Caused]) -> Result<Told, TableError> {
        let subjects: BTreeSet<&str> = changes.iter().map(|caused| caused.cause.subject.as_str()).collect();
        let keys: Vec<Key> = subjects.iter().map(|subject| key::feed_told(tenant, subject)).collect();
        let rows: Vec<ToldRow> = self.store.get_many(&keys).await?;
        Ok(rows.into_iter().map(|row| (row.sk, row.attributes.into_keys().collect())).collect())
    }
}

/// The row of a subject. Each mark is an attribute, so that two changes of a subject at once are both marked.
#[derive(Deserialize)]
struct ToldRow {
    sk: String,
    #[serde(flatten)]
    attributes: BTreeMap<String, IgnoredAny>,
}

/// The questions about what was told.
trait Knows {
    fn knows(&self, cause: &Cause) -> bool;
}

impl Knows for Told {
    fn knows(&self, cause: &Cause) -> bool {
        self.get(&cause.subject).is_some_and(|marks| marks.contains(&cause.mark))
    }
}

/// The transaction that adds `changes` after `head`: it moves the head, stores the segment, marks the causes as told, and keeps
/// the list of live runs.
fn transaction(
    tenant: TenantId,
    head: Option<HeadRow>,
    changes: &[Caused],
    told: &Told,
    now: Timestamp,
) -> Result<Transaction, TableError> {
    let before = head.map_or(0, |head| head.seq);
    let segment = Segment::new(before + 1, changes.iter().map(|caused| caused.change.clone()).collect(), now);
    let is_as_read = match head {
        Some(head) => attribute("seq").equals(head.seq),
        None => absent(),
    };
    let moved = Update::of(&key::feed_head(tenant)).set("seq", segment.last()).when(is_as_read);
    let mut transaction = Transaction::new().write(moved).write(Write::insert(segment.row(tenant)?));
    let mut subjects: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for Caused { cause, .. } in changes {
        subjects.entry(&cause.subject).or_default().insert(&cause.mark);
    }
    for (subject, marks) in &subjects {
        let has_ended = told.get(*subject).is_some_and(|known| known.contains(ENDED));
        transaction = transaction.write(told_update(tenant, subject, marks, has_ended, now));
    }
    for (run, is_live) in liveness(changes, told) {
        let key = key::feed_live_run(tenant, run);
        transaction = match is_live {
            true => transaction.write(Write::put(Row::new(&key, &LiveRun {})?)),
            false => transaction.write(Write::delete(&key)),
        };
    }
    Ok(transaction)
}

/// The row of a live run has no more than its key.
#[derive(Serialize)]
struct LiveRun {}

/// Marks the causes of a subject as told, if none of them is. A run is added to the live runs only if its end was not told: it
/// would stay there. `has_ended` says that it is known to have ended, and is therefore not added.
fn told_update(
    tenant: TenantId,
    subject: &str,
    marks: &BTreeSet<&str>,
    has_ended: bool,
    now: Timestamp,
) -> Update {
    let update = Update::of(&key::feed_told(tenant, subject)).expires_at(now + REMEMBERED);
    let update =
        marks.iter().fold(update, |update, mark| update.set(*mark, true).when(attribute(*mark).is_absent()));
    if marks.contains(CREATED) && !marks.contains(ENDED) && !has_ended {
        return update.when(attribute(ENDED).is_absent());
    }
    update
}

/// Returns the runs that these changes add to the live runs (`true`) or remove from them (`false`).
fn liveness(changes: &[Caused], told: &Told) -> BTreeMap<RunId, bool> {
    let mut runs = BTreeMap::new();
    for Caused { change, .. } in changes {
        match change {
            // The records of a run may come in any order after a failure. An end that comes first is final.
            FeedChange::RunCreated { run_id, .. } if !told.knows(&Cause::end_of(*run_id)) => {
                runs.entry(*run_id).or_insert(true);
            }
            FeedChange::RunEnded { run_id, .. } => {
                runs.insert(*run_id, false);
            }
            _ => {}
        }
    }
    runs
}
