//! Artifacts: immutable bytes in S3 under the SHA-256 of their content, and rows that describe them.
//!
//! An *object* is bytes. It is written once, on condition that it does not exist, and never overwritten: its
//! key is the digest of its content. An *artifact* refers to an object and has a title, a type and the run
//! that created it. Equal bytes of a tenant are one object, however many artifacts refer to it. Tenants share
//! no objects: the key of an object begins with the tenant's id.
//!
//! The object's row guards these invariants:
//!
//! * The row exists before the bytes do. The transaction that stores or deletes an artifact counts it in
//!   `refs`.
//! * The collector marks an object as being deleted only while `refs` is 0, and no artifact can refer to it
//!   after that. The mark contains the one version that the collector deletes, so a late deletion never
//!   deletes a newer version.
//! * An operation that needs an object which is being deleted waits for the end of the deletion and stores it
//!   again.
//!
//! No clock decides what is deleted. Clocks only decide when the collector runs.
//!
//! Decision 6 (`infra/decisions/0006-objects-are-counted.md`) explains why.

mod artifact;
mod artifacts;
mod bucket;
mod bundle;
mod carry;
mod digest;
mod entity;
mod error;
mod export;
mod garbage;
mod leave;
mod object;
pub mod preview;
mod save;
mod serving;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod upload;

pub use artifact::{Artifact, Description, InvalidDescription, Origin};
pub use artifacts::{Artifacts, Filter, RunArtifacts, derived_id, find};
pub use bucket::{Bucket, Link};
pub use bundle::{Bundle, BundleError};
pub use carry::rows_with_run;
pub use digest::{Content, Digest, InvalidDigest};
pub use entity::{ENTITY_TYPES, Entity, Mention};
pub use error::Error;
pub use export::{Export, Source};
pub use garbage::{AGE, Collected};
pub use preview::{PreviewKey, PreviewKeys, Previewed};
pub use save::{SCOPE, tool};
pub use serving::{Disposition, inert};
pub use upload::{LARGEST, Offer, Upload};
