//! Artifacts: immutable bytes in S3 under the SHA-256 of their content, and rows that say what they are.
//!
//! An *object* is bytes. It is written once, on condition that it is not there, and never overwritten: what has its
//! digest *is* its content. An *artifact* refers to an object and says what it is called, what it is, and which run
//! made it. The same bytes are one object of a tenant, however many artifacts refer to it; no object is shared between
//! tenants, whose ids its key begins with.
//!
//! The invariants, of which the object's row is the guard:
//!
//! * The row is there before the bytes are, and every artifact is counted in its `refs` by the transaction that
//!   stores or deletes the artifact.
//! * The collector marks an object as going only while `refs` is 0, and from then on no artifact can refer to it. It
//!   deletes the one version that it has noted with the mark, so a deletion that arrives late deletes nothing newer.
//! * Whoever wants an object that is going waits until it is gone, and stores it anew.
//!
//! So no clock decides what is deleted; clocks only decide when the collector looks.

mod artifact;
mod artifacts;
mod bucket;
mod bundle;
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
#[cfg(feature = "testing")]
pub mod testing;
mod upload;

pub use artifact::{Artifact, Description, Invalid, Origin};
pub use artifacts::{Artifacts, Filter, derived_id};
pub use bucket::{Bucket, Link};
pub use bundle::{Bundle, Refused};
pub use digest::Digest;
pub use entity::Entity;
pub use error::Error;
pub use export::{Export, Source};
pub use garbage::{AGE, Collected};
pub use preview::{PreviewKey, PreviewKeys, Previewed};
pub use save::{SCOPE, tool};
pub use serving::{Disposition, inert};
pub use upload::{LARGEST, Offer, Upload};
