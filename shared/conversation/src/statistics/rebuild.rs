//! `rebuild_statistics`: counts again what is counted of a version of an agent.

use std::{collections::BTreeMap, time::Duration};

use sequent_core::{AgentId, TenantId};
use sequent_jobs::{Context, Done, Failed, JobKind, RetryPolicy};
use sequent_tables::{
    Key, PageRequest, Store, Write, attribute, decode,
    key::{self, NumberedAgent},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{CHANGES, Counts, INTERRUPTIONS, NAMES, of_ended, of_rating, rows};
use crate::{Error, Feedback, Run};

/// `rebuild_statistics`: counts again what is counted of a version of an agent, from the rows of its runs and of the feedback
/// on them. Runs of deleted conversations are not counted any more. It stores a row only if nothing was added to it
/// meanwhile, and is tried again otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct RebuildStatistics;

/// The input of [`RebuildStatistics`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatisticsInput {
    /// An agent of the job's tenant.
    pub agent_id: AgentId,
    /// The number of the version.
    pub version: u32,
}

impl JobKind for RebuildStatistics {
    const TYPE: &'static str = "rebuild_statistics";
    const TIMEOUT: Duration = Duration::from_secs(800);
    const RETRY: RetryPolicy = RetryPolicy { attempts: 10, ..RetryPolicy::DEFAULT };
    type Input = StatisticsInput;

    fn key(_: &StatisticsInput) -> Option<String> {
        None
    }

    async fn run(&self, input: StatisticsInput, context: Context) -> Result<Done, Failed> {
        let of = NumberedAgent { agent: input.agent_id, version: input.version };
        let rebuilt = Box::pin(rebuild(context.store(), context.tenant, of)).await.map_err(Failed::retry)?;
        Ok(Done::text(format!("{rebuilt} rows were counted again.")))
    }
}

async fn rebuild(store: &Store, tenant: TenantId, of: NumberedAgent) -> Result<usize, Error> {
    let before: BTreeMap<String, (Key, Counts)> = by_sort_key(rows(store, tenant, of, usize::MAX).await?);
    let mut counted = of_runs(store, tenant, of).await?;
    counted.extend(of_feedback(store, tenant, of).await?);
    count_names(&mut counted, tenant, of);
    // A row that counts nothing any more counts zero.
    for (sort_key, (key, _)) in &before {
        counted.entry(sort_key.clone()).or_insert_with(|| (key.clone(), Counts::default()));
    }
    let rebuilt = counted.len();
    for (sort_key, (key, mut counts)) in counted {
        let former = before.get(&sort_key).map_or(0, |(_, counts)| counts.signed(CHANGES));
        let is_unchanged = match former {
            0 => attribute(CHANGES).is_absent(),
            changes => attribute(CHANGES).equals(changes),
        };
        // A name without scores makes room for another one. It is new if it comes back.
        let is_over = counts == Counts::default() && key::parse_score_statistics(&key).is_some();
        counts.add(CHANGES, former + 1);
        let write = if is_over { Write::delete(&key) } else { Write::put(counts.into_row(&key)?) };
        if !store.write_if(write.when(is_unchanged)).await? {
            return Err(Error::ClaimTaken);
        }
    }
    Ok(rebuilt)
}

/// Counts the names of scores in the row of the thumbs.
fn count_names(counted: &mut BTreeMap<String, (Key, Counts)>, tenant: TenantId, of: NumberedAgent) {
    let names = counted.values().filter(|(key, _)| key::parse_score_statistics(key).is_some()).count();
    let row = key::thumb_statistics(tenant, of);
    if names > 0 {
        let (_, thumbs) = counted.entry(row.sk().to_owned()).or_insert_with(|| (row, Counts::default()));
        thumbs.add(NAMES, i64::try_from(names).unwrap_or(i64::MAX));
    }
}

fn by_sort_key(rows: Vec<(Key, Counts)>) -> BTreeMap<String, (Key, Counts)> {
    let mut sums: BTreeMap<String, (Key, Counts)> = BTreeMap::new();
    for (key, counts) in rows {
        let (_, sum) = sums.entry(key.sk().to_owned()).or_insert_with(|| (key, Counts::default()));
        sum.add_all(&counts);
    }
    sums
}

/// Counts the runs of the version.
async fn of_runs(
    store: &Store,
    tenant: TenantId,
    of: NumberedAgent,
) -> Result<BTreeMap<String, (Key, Counts)>, Error> {
    let mut counted = Vec::new();
    let count = |run: Run| {
        if run.parent_run_id.is_none() && run.numbered_agent() == Some(of) {
            let mut counts = of_ended(&run);
            counts.add(INTERRUPTIONS, i64::from(run.person_waits.count));
            counted.push((key::run_statistics(tenant, of, run.id), counts));
        }
    };
    for_each(store, PageRequest::new(key::runs(tenant)), "", count).await?;
    Ok(by_sort_key(counted))
}

/// Counts the feedback on runs of the version.
async fn of_feedback(
    store: &Store,
    tenant: TenantId,
    of: NumberedAgent,
) -> Result<BTreeMap<String, (Key, Counts)>, Error> {
    let prefix = of.prefix();
    let mut counted = Vec::new();
    let count = |given: Feedback| counted.extend(of_rating(tenant, of, Some(&given.rating()), 1));
    let first = PageRequest::new(key::all_feedback(tenant)).after(format!("{prefix}~"));
    for_each(store, first, &prefix, count).await?;
    Ok(by_sort_key(counted))
}

/// Reads the rows of a list from this page on whose sort keys begin with the prefix.
async fn for_each<T: DeserializeOwned>(
    store: &Store,
    first: PageRequest,
    prefix: &str,
    mut visit: impl FnMut(T),
) -> Result<(), Error> {
    let mut request = first.limit(Some(PageRequest::MAX_LIMIT));
    loop {
        let page = store.page_items(&request).await?;
        let last = page.last_key().filter(|last| last.starts_with(prefix)).map(str::to_owned);
        for item in page.items {
            if Key::of_item(&item).is_some_and(|key| key.sk().starts_with(prefix)) {
                visit(decode(item)?);
            }
        }
        match last {
            Some(last) => request = request.after(last),
            None => return Ok(()),
        }
    }
}
