//! Comparing a run with its log, its project, its parent and its position in the due index.

mod live;
mod log;
mod row;

use sequent_runlog::{LogKey, Storage as _};

use crate::{
    Finding, FindingKind,
    auditor::{Error, Evidence},
};
use log::LogEnd;
use row::RunRow;

/// A kind of finding, and the observation it rests on.
type Observation = (FindingKind, String);

pub(crate) async fn findings(evidence: Evidence<'_>, key: LogKey) -> Result<Vec<Finding>, Error> {
    let Some(row) = RunRow::read(evidence, key).await? else { return Ok(Vec::new()) };
    let tail = evidence.storage.tail(key).await?;
    let end = LogEnd::of(tail.as_ref());
    let mut found: Vec<Observation> = end.contradiction(&row.run).into_iter().collect();
    if row.run.has_ended() {
        found.extend(ended(evidence, &row));
    } else {
        let quiet_since = tail.map_or(row.run.created_at, |segment| segment.at);
        found.extend(Box::pin(live::observations(evidence, &row, end, quiet_since)).await?);
    }
    Ok(found.into_iter().map(|(kind, reason)| Finding::new(kind, key.tenant, key.run, reason)).collect())
}

fn ended(evidence: Evidence<'_>, row: &RunRow) -> Option<Observation> {
    let due = row.due.filter(|due| evidence.is_past_sweep(*due))?;
    let status = row.run.status.as_str();
    Some((FindingKind::EndedRunDue, format!("the run's status is {status}, and it has been due since {due}")))
}
