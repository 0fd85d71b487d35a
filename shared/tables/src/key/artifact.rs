//! Keys of artifacts, of the entities in them, and of the objects with their bytes.

use sequent_core::{ArtifactId, EntityId, RunId, TenantId, Timestamp};

use super::{IndexKey, Key, Partition, hex};

/// An artifact.
#[must_use]
pub fn artifact(tenant: TenantId, id: ArtifactId) -> Key {
    Key::new(format!("{tenant}#artifacts"), id)
}

/// Returns the tenant of the key of an artifact, or `None` if it is another key.
#[must_use]
pub fn parse_artifact(key: &Key) -> Option<TenantId> {
    key.pk.strip_suffix("#artifacts")?.parse().ok()
}

/// All artifacts of a tenant.
#[must_use]
pub fn artifacts(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#artifacts"))
}

/// A list of artifacts. Types and tags contain no `#`, so two lists never have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedBy<'a> {
    /// The artifacts of a run.
    Run(RunId),
    /// The artifacts of an entity type.
    EntityType(&'a str),
    /// The artifacts with a tag.
    Tag(&'a str),
}

impl ListedBy<'_> {
    fn pk(self, tenant: TenantId) -> String {
        match self {
            Self::Run(run) => format!("{tenant}#artifacts#run#{run}"),
            Self::EntityType(name) => format!("{tenant}#artifacts#type#{name}"),
            Self::Tag(tag) => format!("{tenant}#artifacts#tag#{tag}"),
        }
    }
}

/// The row of an artifact in one of its lists.
#[must_use]
pub fn listed_artifact(tenant: TenantId, by: ListedBy<'_>, id: ArtifactId) -> Key {
    Key::new(by.pk(tenant), id)
}

/// An entity in an artifact. Types contain no `#`.
#[must_use]
pub fn entity(tenant: TenantId, entity_type: &str, id: EntityId) -> Key {
    Key::new(format!("{tenant}#entities#{entity_type}"), id)
}

/// All entities of a type in a tenant's artifacts.
#[must_use]
pub fn entities(tenant: TenantId, entity_type: &str) -> Partition {
    Partition::table(format!("{tenant}#entities#{entity_type}"))
}

/// One list of a tenant's artifacts.
#[must_use]
pub fn artifacts_by(tenant: TenantId, by: ListedBy<'_>) -> Partition {
    Partition::table(by.pk(tenant))
}

/// An upload that was offered, under the id of its future artifact.
#[must_use]
pub fn upload(tenant: TenantId, id: ArtifactId) -> Key {
    Key::new(format!("{tenant}#uploads"), id)
}

/// The number of bytes that a tenant stores.
#[must_use]
pub fn storage(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#storage"), "storage")
}

/// The row of an object of a tenant, by the SHA-256 of its bytes.
#[must_use]
pub fn object(tenant: TenantId, digest: &[u8; 32]) -> Key {
    Key::new(format!("{tenant}#objects"), hex(digest))
}

/// Returns the tenant and the digest of a key, or `None` if it is not the key of an object.
#[must_use]
pub fn parse_object(key: &Key) -> Option<(TenantId, [u8; 32])> {
    let digest = key.sk.as_bytes().as_chunks::<2>().0;
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let digest: Option<Vec<u8>> = digest.iter().map(byte).collect();
    Some((key.pk.strip_suffix("#objects")?.parse().ok()?, digest?.try_into().ok()?))
}

/// The key of an object in the bucket.
#[must_use]
pub fn object_path(tenant: TenantId, digest: &[u8; 32]) -> String {
    format!("{tenant}/objects/{}", hex(digest))
}

/// Number of partitions of `gsi2` for objects that may have no reference.
pub const GARBAGE_SHARDS: u8 = 8;

/// The position of an object that may have no reference in its due index (`gsi2`), by the time at which an upload last
/// wanted it. The index spans tenants, as that of active runs does, and the scheduler alone reads it.
#[must_use]
pub fn garbage(tenant: TenantId, digest: &[u8; 32], wanted_at: Timestamp) -> IndexKey {
    let sk = format!("{:015}#{tenant}#{}", wanted_at.millis(), hex(digest));
    IndexKey { pk: garbage_shard(digest[0]), sk }
}

/// The partition key of a shard of that index.
#[must_use]
pub fn garbage_shard(shard: u8) -> String {
    format!("garbage#{}", shard % GARBAGE_SHARDS)
}
