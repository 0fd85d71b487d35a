//! Counters of each version of an agent: its runs, their costs, their durations, and the feedback on them.
//!
//! The transactions that decide add to the counters: the end of a run, its late settlement, and a change of feedback. So each
//! of them is counted once. The ends of runs add to one of eight small rows, because two transactions that change one row at
//! the same time conflict, and one of them has to be repeated. Child runs are parts of their parents and are not counted.
//!
//! [`RebuildStatistics`] counts again what the rows of the runs and of the feedback say.

mod latency;
mod names;
mod rebuild;

use std::collections::BTreeMap;

use sequent_core::{AgentId, MicroUsd, TenantId};
use sequent_event::{Rating, Thumb};
use sequent_tables::{
    Item, Key, Label, PageRequest, Row, Store, Update, Write, attribute, decode, exists,
    key::{self, NumberedAgent},
};
use serde::Serialize;
use serde_json::Value;

pub use latency::{LatencyBucket, LatencyStatistics};
pub(crate) use names::{MAX_SCORE_NAMES, NAME, NAMES_LEFT, ScoreNames};
pub use rebuild::{RebuildStatistics, StatisticsInput};

use crate::{Error, Run, RunCost, RunStatus, TokenUsage};

/// The sums of scores are in thousandths.
const THOUSANDTHS: f64 = 1_000.0;

/// The number of changes of a row, by which a rebuild notices that it was overtaken.
const CHANGES: &str = "changes";
const RUNS: &str = "runs";
const FAILED: &str = "failed";
const CANCELLED: &str = "cancelled";
const INTERRUPTIONS: &str = "interruptions";
const COST: &str = "cost_micro_usd";
const UNPRICED: &str = "unpriced";
const INPUT: &str = "input_tokens";
const OUTPUT: &str = "output_tokens";
const LATENCY: &str = "latency_ms";
const UP: &str = "up";
const DOWN: &str = "down";
const COUNT: &str = "count";
const SUM: &str = "sum";
/// The number of names of scores, in the row of the thumbs.
const NAMES: &str = "names";

/// Counters by their names, as a row has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counts(BTreeMap<String, i64>);

impl Counts {
    fn add(&mut self, name: &str, amount: i64) {
        if amount != 0 {
            *self.0.entry(name.to_owned()).or_default() += amount;
        }
    }

    fn add_all(&mut self, others: &Self) {
        others.0.iter().for_each(|(name, amount)| self.add(name, *amount));
    }

    /// Reads the counters of a row.
    fn of_item(item: Item) -> Result<Self, Error> {
        let attributes: BTreeMap<String, Value> = decode(item)?;
        let numbers = attributes.into_iter().filter_map(|(name, value)| Some((name, value.as_i64()?)));
        Ok(Self(numbers.collect()))
    }

    fn get(&self, name: &str) -> u64 {
        u64::try_from(self.signed(name)).unwrap_or_default()
    }

    fn signed(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// The change that adds these counters to the row. Returns `None` if it would change nothing.
    fn added_to(&self, row: &Key) -> Option<Update> {
        let is_none = self.0.values().all(|amount| *amount == 0);
        let add = |update: Update, (name, amount): (&String, &i64)| update.add(name.as_str(), *amount);
        (!is_none).then(|| self.0.iter().fold(Update::of(row), add).add(CHANGES, 1))
    }

    fn into_row(self, row: &Key) -> Result<Row, Error> {
        Ok(Row::new(row, &self.0)?)
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The row that counts the run. Returns `None` if none does.
fn counters_of(tenant: TenantId, run: &Run) -> Option<Key> {
    let agent = run.numbered_agent().filter(|_| run.parent_run_id.is_none())?;
    Some(key::run_statistics(tenant, agent, run.id))
}

/// The numbers that an execution of the run which has just ended adds to the counters of its agent.
pub(crate) fn counted(tenant: TenantId, run: &Run) -> Option<Update> {
    let counts = match run.status {
        RunStatus::Interrupted => Counts(BTreeMap::from([(INTERRUPTIONS.to_owned(), 1)])),
        _ => of_ended(run),
    };
    counts.added_to(&counters_of(tenant, run)?)
}

/// The numbers that the late settlement of an ended run adds: the usage of its children and jobs after its end.
pub(crate) fn counted_late(tenant: TenantId, run: &Run, usage: TokenUsage, cost: RunCost) -> Option<Update> {
    let mut counts = Counts::default();
    counts.add(INPUT, signed(usage.input_tokens) - signed(run.usage.input_tokens));
    counts.add(OUTPUT, signed(usage.output_tokens) - signed(run.usage.output_tokens));
    counts.add(COST, signed(cost.micro_usd.0) - signed(run.cost.micro_usd.0));
    counts.add(UNPRICED, i64::from(cost.incomplete) - i64::from(run.cost.incomplete));
    counts.added_to(&counters_of(tenant, run)?)
}

/// The counters of a run that has ended. Those of a run that has not are empty.
fn of_ended(run: &Run) -> Counts {
    let mut counts = Counts::default();
    if !run.has_ended() {
        return counts;
    }
    counts.add(RUNS, 1);
    counts.add(FAILED, i64::from(run.status == RunStatus::Error));
    counts.add(CANCELLED, i64::from(run.status == RunStatus::Cancelled));
    counts.add(COST, signed(run.cost.micro_usd.0));
    counts.add(UNPRICED, i64::from(run.cost.incomplete));
    counts.add(INPUT, signed(run.usage.input_tokens));
    counts.add(OUTPUT, signed(run.usage.output_tokens));
    if let Some(ms) = latency_ms(run) {
        counts.add(LATENCY, signed(ms));
        counts.add(&latency::bucket_name(latency::bucket_of(ms)), 1);
    }
    counts
}

/// The milliseconds of an ended run without those in which it waited for people. `None` if it was never executed.
fn latency_ms(run: &Run) -> Option<u64> {
    let executed = run.completed_at?.since(run.started_at?);
    let ms = u64::try_from(executed.as_millis()).unwrap_or(u64::MAX);
    Some(ms.saturating_sub(run.person_waits.ms))
}

/// The numbers that a change of feedback on a run of this version adds to the counters, with the labels of their conditions:
/// names that are not known are counted as new ones, and a version has few names.
pub(crate) fn rated(
    tenant: TenantId,
    of: NumberedAgent,
    known: &ScoreNames,
    former: Option<&Rating>,
    new: Option<&Rating>,
) -> Vec<(Write, Option<Label>)> {
    let mut changes = of_rating(tenant, of, new, 1);
    let new_names = known.count_new(new);
    if new_names > 0 {
        let row = key::thumb_statistics(tenant, of);
        let names = Counts(BTreeMap::from([(NAMES.to_owned(), new_names)]));
        match changes.iter_mut().find(|(changed, _)| *changed == row) {
            Some((_, changed)) => changed.add_all(&names),
            None => changes.push((row, names)),
        }
    }
    for (row, counts) in of_rating(tenant, of, former, -1) {
        match changes.iter_mut().find(|(changed, _)| *changed == row) {
            Some((_, changed)) => changed.add_all(&counts),
            None => changes.push((row, counts)),
        }
    }
    let is_given = |name: &&str| new.is_some_and(|rating| rating.scores.contains_key(*name));
    let labelled = |(row, counts): &(Key, Counts)| {
        let update = counts.added_to(row)?;
        Some(match key::parse_score_statistics(row).filter(is_given) {
            Some(name) if known.has(name) => (update.when(exists()).into(), Some(NAME)),
            Some(_) => (update.when(attribute(CHANGES).is_absent()).into(), Some(NAME)),
            None if counts.signed(NAMES) > 0 => {
                (update.when(names::leave_room_for(new_names)).into(), Some(NAMES_LEFT))
            }
            None => (update.into(), None),
        })
    };
    changes.iter().filter_map(labelled).collect()
}

/// The counters of a rating, `times` times, with their rows.
fn of_rating(tenant: TenantId, of: NumberedAgent, rating: Option<&Rating>, times: i64) -> Vec<(Key, Counts)> {
    let Some(rating) = rating else { return Vec::new() };
    let thumb = rating.thumb.map(|thumb| {
        let mut counts = Counts::default();
        counts.add(if thumb == Thumb::Up { UP } else { DOWN }, times);
        (key::thumb_statistics(tenant, of), counts)
    });
    let scores = rating.scores.iter().map(|(name, score)| {
        let mut counts = Counts::default();
        counts.add(COUNT, times);
        counts.add(SUM, times * score.thousandths());
        (key::score_statistics(tenant, of, name), counts)
    });
    thumb.into_iter().chain(scores).collect()
}

/// The counters of a version of an agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct AgentStatistics {
    pub agent_id: AgentId,
    pub version: u32,
    /// The runs that have ended, without child runs.
    pub runs: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// The times that a run has ended an execution with a question to a person.
    pub interruptions: u64,
    /// The tokens of all model calls, those of child runs included.
    pub usage: TokenUsage,
    /// The cost of all model calls, those of child runs included.
    pub cost: RunCost,
    /// The time from the start of the first execution to the end, without the time in which the run waited for people.
    pub latency: LatencyStatistics,
    pub thumbs: ThumbStatistics,
    /// The scores by their names: at most 50.
    pub scores: BTreeMap<String, ScoreStatistics>,
}

/// The thumbs on runs and answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct ThumbStatistics {
    pub up: u64,
    pub down: u64,
}

/// The scores of one name on runs and answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct ScoreStatistics {
    pub count: u64,
    pub sum: f64,
    pub mean: f64,
}

impl ScoreStatistics {
    /// Returns `None` if there are no scores.
    #[expect(clippy::cast_precision_loss, reason = "sums of scores, not money")]
    fn of(counts: &Counts) -> Option<Self> {
        let count = counts.get(COUNT);
        let sum = counts.signed(SUM) as f64 / THOUSANDTHS;
        (count > 0).then(|| Self { count, sum, mean: sum / count as f64 })
    }
}

impl AgentStatistics {
    /// Reads what is counted of a version. It is the sum of rows that are read one after the other.
    ///
    /// # Errors
    /// Fails if the table fails.
    pub async fn read(store: &Store, tenant: TenantId, of: NumberedAgent) -> Result<Self, Error> {
        let mut runs = Counts::default();
        let mut thumbs = Counts::default();
        let mut scores = BTreeMap::new();
        let shown = usize::from(key::STATISTICS_SHARDS) + 1 + MAX_SCORE_NAMES;
        for (key, counts) in rows(store, tenant, of, shown).await? {
            match key::parse_score_statistics(&key) {
                Some(_) if scores.len() == MAX_SCORE_NAMES => {}
                Some(name) => scores.extend(Some(name.to_owned()).zip(ScoreStatistics::of(&counts))),
                None if key == key::thumb_statistics(tenant, of) => thumbs = counts,
                None => runs.add_all(&counts),
            }
        }
        let ended = runs.get(RUNS);
        let failed = runs.get(FAILED);
        let cancelled = runs.get(CANCELLED);
        Ok(Self {
            agent_id: of.agent,
            version: of.version,
            runs: ended,
            succeeded: ended.saturating_sub(failed + cancelled),
            failed,
            cancelled,
            interruptions: runs.get(INTERRUPTIONS),
            usage: TokenUsage { input_tokens: runs.get(INPUT), output_tokens: runs.get(OUTPUT) },
            cost: RunCost { micro_usd: MicroUsd(runs.get(COST)), incomplete: runs.get(UNPRICED) > 0 },
            latency: LatencyStatistics::of(runs.get(LATENCY), |bucket| {
                runs.get(&latency::bucket_name(bucket))
            }),
            thumbs: ThumbStatistics { up: thumbs.get(UP), down: thumbs.get(DOWN) },
            scores,
        })
    }
}

/// Reads the rows of a version, `limit` at most. Those of scores come last.
async fn rows(
    store: &Store,
    tenant: TenantId,
    of: NumberedAgent,
    limit: usize,
) -> Result<Vec<(Key, Counts)>, Error> {
    let prefix = of.prefix();
    let request = PageRequest::new(key::statistics(tenant)).after(&prefix).oldest_first();
    let mut request = request.limit(Some(PageRequest::MAX_LIMIT));
    let mut rows = Vec::new();
    loop {
        let page = store.page_items(&request).await?;
        let last = page.last_key().map(str::to_owned);
        for item in page.items {
            let Some(key) = Key::of_item(&item).filter(|key| key.sk().starts_with(&prefix)) else {
                return Ok(rows);
            };
            if rows.len() == limit {
                return Ok(rows);
            }
            rows.push((key, Counts::of_item(item)?));
        }
        match last {
            Some(last) => request = request.after(last),
            None => return Ok(rows),
        }
    }
}

#[cfg(test)]
mod tests;
