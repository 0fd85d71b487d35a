//! Keys of feedback on runs, and of what is counted of each version of an agent.

use sequent_core::{AgentId, MessageId, RunId, TenantId, UserId};

use super::{Key, Partition};

/// Partitions of the counters of a version that the ends of its runs change. A transaction conflicts with another one that
/// changes the same row at the same time, so that this bounds the ends of its runs at once.
pub const STATISTICS_SHARDS: u8 = 8;

/// A version of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "plain data")]
pub struct NumberedAgent {
    pub agent: AgentId,
    pub version: u32,
}

impl NumberedAgent {
    /// The beginning of the sort keys of the version's rows.
    #[must_use]
    pub fn prefix(self) -> String {
        format!("{}#{:06}#", self.agent, self.version)
    }
}

/// The beginning of the sort keys of all rows about runs with this version of an agent, or without an agent.
fn prefix(of: Option<NumberedAgent>) -> String {
    of.map_or_else(|| "none#".to_owned(), NumberedAgent::prefix)
}

/// The feedback of a person on a run, or on one of its answers. `of` is the agent of the run.
#[must_use]
pub fn feedback(
    tenant: TenantId,
    of: Option<NumberedAgent>,
    run: RunId,
    by: UserId,
    message: Option<MessageId>,
) -> Key {
    let on = message.map(|message| format!("#{message}")).unwrap_or_default();
    Key::new(format!("{tenant}#feedback"), format!("{}{by}{on}", feedback_prefix(of, run)))
}

/// The beginning of the sort keys of the feedback on a run and on its answers.
#[must_use]
pub fn feedback_prefix(of: Option<NumberedAgent>, run: RunId) -> String {
    format!("{}{run}#", prefix(of))
}

/// All feedback in a tenant, by the versions of its agents. That on the latest runs comes last in each of them.
#[must_use]
pub fn all_feedback(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#feedback"))
}

/// The counters of the runs of a version, one of [`STATISTICS_SHARDS`] rows.
#[must_use]
pub fn run_statistics(tenant: TenantId, of: NumberedAgent, run: RunId) -> Key {
    let shard = run.bits() % u128::from(STATISTICS_SHARDS);
    Key::new(format!("{tenant}#statistics"), format!("{}runs#{shard}", of.prefix()))
}

/// The counters of the thumbs on runs of a version. They come before those of scores, of which there may be many.
#[must_use]
pub fn thumb_statistics(tenant: TenantId, of: NumberedAgent) -> Key {
    Key::new(format!("{tenant}#statistics"), format!("{}rated", of.prefix()))
}

/// The counters of the scores with this name on runs of a version.
#[must_use]
pub fn score_statistics(tenant: TenantId, of: NumberedAgent, name: &str) -> Key {
    Key::new(format!("{tenant}#statistics"), format!("{}score#{name}", of.prefix()))
}

/// Returns the name of the scores that a row counts, or `None` if the row counts something else.
#[must_use]
pub fn parse_score_statistics(key: &Key) -> Option<&str> {
    key.sk.split_once("#score#").map(|(_, name)| name)
}

/// The counters of all versions of all agents of a tenant.
#[must_use]
pub fn statistics(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#statistics"))
}
