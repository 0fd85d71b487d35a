//! Keys of agents and prompts, and of their versions.

use std::fmt::Display;

use sequent_core::{AgentId, TenantId};

use super::{Key, Partition};

/// A kind of definitions that have versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum DefinitionKind {
    Agent,
    Prompt,
}

impl DefinitionKind {
    const fn list(self) -> &'static str {
        match self {
            Self::Agent => "agents",
            Self::Prompt => "prompts",
        }
    }

    const fn versions(self) -> &'static str {
        match self {
            Self::Agent => "agent-versions",
            Self::Prompt => "prompt-versions",
        }
    }
}

/// The head of a definition: its name, its latest version and its labels. `id` is the id of an agent or the name of a prompt.
#[must_use]
pub fn definition(tenant: TenantId, kind: DefinitionKind, id: impl Display) -> Key {
    Key::new(format!("{tenant}#{}", kind.list()), id)
}

/// Returns the tenant and the agent of a key, or `None` if it is not the key of an agent.
#[must_use]
pub fn parse_agent(key: &Key) -> Option<(TenantId, AgentId)> {
    Some((key.pk.strip_suffix("#agents")?.parse().ok()?, key.sk.parse().ok()?))
}

/// All definitions of a kind.
#[must_use]
pub fn definitions(tenant: TenantId, kind: DefinitionKind) -> Partition {
    Partition::table(format!("{tenant}#{}", kind.list()))
}

/// A version of a definition. `id` contains no `#`.
#[must_use]
pub fn definition_version(tenant: TenantId, kind: DefinitionKind, id: impl Display, version: u32) -> Key {
    Key::new(format!("{tenant}#{}", kind.versions()), format!("{id}#{version:06}"))
}

/// The versions of all definitions of a kind, so that they can be deleted together.
#[must_use]
pub fn definition_versions(tenant: TenantId, kind: DefinitionKind) -> Partition {
    Partition::table(format!("{tenant}#{}", kind.versions()))
}

/// Returns the id of the definition and the version of a key, or `None` if it is not the key of a version.
#[must_use]
pub fn parse_version(sort_key: &str) -> Option<(&str, u32)> {
    let (id, version) = sort_key.rsplit_once('#')?;
    Some((id, version.parse().ok()?))
}

/// The claim of an agent's name.
#[must_use]
pub fn agent_name(tenant: TenantId, name: impl Display) -> Key {
    Key::new(format!("{tenant}#agent-names"), name)
}

/// The numbers of a tenant's agents and prompts, and its default agent.
#[must_use]
pub fn definition_settings(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#settings"), "definitions")
}
