//! Keys of artifacts, of what they name, and of the objects that hold their bytes.

use sequent_core::{ArtifactId, EntityId, RunId, TenantId, Timestamp};

use super::{IndexKey, Key, Partition, hex};

/// An artifact.
#[must_use]
pub fn artifact(tenant: TenantId, id: ArtifactId) -> Key {
    Key::new(format!("{tenant}#artifacts"), id)
}

/// All artifacts of a tenant.
#[must_use]
pub fn artifacts(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#artifacts"))
}

/// One thing that artifacts are listed by. Types and tags have no `#`, so no two lists are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedBy<'a> {
    /// The run that made them.
    Run(RunId),
    /// What they are.
    EntityType(&'a str),
    /// A tag they have.
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

/// An artifact's place in one of the lists that it is in.
#[must_use]
pub fn listed_artifact(tenant: TenantId, by: ListedBy<'_>, id: ArtifactId) -> Key {
    Key::new(by.pk(tenant), id)
}

/// Something that an artifact names. Types have no `#`.
#[must_use]
pub fn entity(tenant: TenantId, entity_type: &str, id: EntityId) -> Key {
    Key::new(format!("{tenant}#entities#{entity_type}"), id)
}

/// All that a tenant's artifacts name of a type.
#[must_use]
pub fn entities(tenant: TenantId, entity_type: &str) -> Partition {
    Partition::table(format!("{tenant}#entities#{entity_type}"))
}

/// One list of a tenant's artifacts.
#[must_use]
pub fn artifacts_by(tenant: TenantId, by: ListedBy<'_>) -> Partition {
    Partition::table(by.pk(tenant))
}

/// An upload that has been offered, under the id of the artifact it is to become.
#[must_use]
pub fn upload(tenant: TenantId, id: ArtifactId) -> Key {
    Key::new(format!("{tenant}#uploads"), id)
}

/// What is known of an object of a tenant, by the SHA-256 of its bytes.
#[must_use]
pub fn object(tenant: TenantId, digest: &[u8; 32]) -> Key {
    Key::new(format!("{tenant}#objects"), hex(digest))
}

/// Whose object a row is, and which, if the row is an object's.
#[must_use]
pub fn parse_object(key: &Key) -> Option<(TenantId, [u8; 32])> {
    let digest = key.sk.as_bytes().as_chunks::<2>().0;
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let digest: Option<Vec<u8>> = digest.iter().map(byte).collect();
    Some((key.pk.strip_suffix("#objects")?.parse().ok()?, digest?.try_into().ok()?))
}

/// Where the bytes of an object are in the bucket.
#[must_use]
pub fn object_path(tenant: TenantId, digest: &[u8; 32]) -> String {
    format!("{tenant}/objects/{}", hex(digest))
}

/// How many partitions of `gsi2` the objects without a reference are spread over.
pub const GARBAGE_SHARDS: u8 = 8;

/// Where an object that may have no reference stands in the collector's queue (`gsi2`), by the time it was last wanted.
/// Like the queue of active runs it spans tenants, and is read by the scheduler alone.
#[must_use]
pub fn garbage(tenant: TenantId, digest: &[u8; 32], wanted_at: Timestamp) -> IndexKey {
    let sk = format!("{:015}#{tenant}#{}", wanted_at.millis(), hex(digest));
    IndexKey { pk: garbage_shard(digest[0]), sk }
}

/// Partition key of one shard of that queue.
#[must_use]
pub fn garbage_shard(shard: u8) -> String {
    format!("garbage#{}", shard % GARBAGE_SHARDS)
}
