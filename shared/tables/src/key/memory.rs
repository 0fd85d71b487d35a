//! Keys of the notes that agents keep about people.

use sequent_core::{AgentId, TenantId, UserId};

use super::{Key, Partition};

/// The notes of an agent about a person.
#[must_use]
pub fn memory(tenant: TenantId, agent: AgentId, user: UserId) -> Key {
    Key::new(format!("{tenant}#memory"), format!("{agent}#{user}"))
}

/// The notes of all agents of a tenant, those of one agent beside each other.
#[must_use]
pub fn memories(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#memory"))
}

/// Returns the agent and the person of a row of [`memories`], or `None` if it is another row.
#[must_use]
pub fn parse_memory(key: &Key) -> Option<(AgentId, UserId)> {
    let (agent, user) = key.sk().split_once('#')?;
    Some((agent.parse().ok()?, user.parse().ok()?))
}
