//! How an export can fail.

use sequent_documents::Kind;

use sequent_documents::Format;

/// A failed export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// This type of document has no such format.
    #[error("there is no {} of a {kind}", format.name())]
    Unsupported {
        /// The document's type.
        kind: Kind,
        /// The format asked for.
        format: Format,
    },
    /// The renderer failed on a document that it should take: our bug. Exporting again will not help.
    #[error("the renderer failed: {0}")]
    Renderer(String),
    /// A path in an archive that is empty, absolute, leaves its folder, or is there twice.
    #[error("`{0}` is no path for an archive, or is there twice")]
    Path(String),
    /// An archive larger than this process should hold.
    #[error("the archive is too large: at most {0} bytes")]
    TooLarge(usize),
}
