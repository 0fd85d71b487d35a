//! Files that people attach to messages: accepting them, and showing them to models.
//!
//! A file is an artifact. A message, its event and its row have the artifact's id, never its bytes: the request to a model
//! is built of the log and the objects. The invariants:
//!
//! * A message refers only to artifacts of its tenant. This is checked when the message is sent, and the bytes are read
//!   under the key of the run's tenant, so no model is shown a file of another tenant.
//! * The type of a file is judged by its bytes. The type that was declared only decides whether the file is accepted.
//! * A file that cannot be shown, because it was deleted, is damaged or is of a kind that the model cannot read, becomes a
//!   text that says so. It never ends a conversation.
//! * A crafted file ends at most the child process that reads it ([`Extractor`]).
//! * The files of a request are bounded in number and bytes. The latest are shown, and the others are only described.
//!
//! Decision 20 (`infra/decisions/0020-a-file-is-read-by-a-child.md`) explains why.

mod accept;
mod child;
mod content;
mod docx;
mod error;
mod extract;
mod extractor;
mod inline;
mod kind;
mod pdf;
mod picture;
mod read;
mod show;
mod structure;
#[cfg(test)]
mod tests;

pub use accept::{Accepted, MAX_FILE_BYTES, MAX_FILES, accept};
pub use content::{ContentPart, MessageContent};
pub use error::{Error, Refusal};
pub use extractor::Extractor;
pub use inline::{InlineFile, MAX_INLINE_BYTES};
pub use read::{Files, Unavailable};
