//! Errors of an export.

use sequent_documents::{DocumentKind, Format};

/// An error of an export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Documents of this type cannot be exported in this format.
    #[error("a document of type {kind} cannot be exported as {}", format.name())]
    #[expect(missing_docs, reason = "plain data")]
    Unsupported { kind: DocumentKind, format: Format },
    /// The renderer failed on a valid document. This is a bug of ours: a retry does not help.
    #[error("the renderer failed: {0}")]
    Renderer(String),
    /// A path of an archive is empty, absolute, repeated, or leaves the folder.
    #[error("`{0}` is not a valid path for an archive, or occurs twice")]
    Path(String),
    /// The archive would be larger than this many bytes, more than the process should hold in memory.
    #[error("the archive is too large: it may have at most {0} bytes")]
    TooLarge(usize),
}
