//! Files that people attach, in the form in which models can be shown them.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The tokens of an image, as an estimate for those that a provider scales down. See "Image costs" at
/// <https://docs.anthropic.com/en/docs/build-with-claude/vision>: about 1,600 at most for most models.
const IMAGE_TOKENS: u64 = 1_600;

/// A file that a person attached. A conversation has the description alone; the bytes are added before a request is sent to
/// a model that can read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedFile {
    /// The id by which the bytes are found.
    pub id: String,
    /// A line for the model with the name, the type and the size of the file.
    pub description: String,
    /// The name of the file, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The bytes to show to the model. Without them it reads the description only.
    #[serde(skip)]
    pub bytes: Option<FileBytes>,
}

/// The bytes of a file that a model is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct FileBytes {
    /// The type that the bytes have, whatever was declared.
    pub file_type: FileType,
    bytes: Bytes,
    /// The tokens that the file takes, as an estimate.
    pub tokens: u64,
}

/// The types of files that models can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the formats")]
pub enum FileType {
    Png,
    Jpeg,
    Gif,
    Webp,
    Pdf,
}

impl AttachedFile {
    /// A file without bytes and without a name.
    pub fn described(id: impl Into<String>, description: impl Into<String>) -> Self {
        Self { id: id.into(), description: description.into(), name: None, bytes: None }
    }

    /// Returns the name that providers require for a document.
    pub(crate) fn file_name(&self) -> &str {
        self.name.as_deref().filter(|name| !name.trim().is_empty()).unwrap_or("document.pdf")
    }
}

impl FileBytes {
    /// The bytes of an image or of a short document.
    pub fn new(file_type: FileType, bytes: impl Into<Bytes>) -> Self {
        Self { file_type, bytes: bytes.into(), tokens: IMAGE_TOKENS }
    }

    /// Sets the estimate of the tokens.
    #[must_use]
    pub fn with_tokens(self, tokens: u64) -> Self {
        Self { tokens, ..self }
    }

    /// Returns the bytes as they are sent.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn base64(&self) -> String {
        STANDARD.encode(&self.bytes)
    }
}

/// Leaves out the bytes, which can be millions.
impl fmt::Debug for FileBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {} bytes", self.file_type, self.bytes.len())
    }
}

impl FileType {
    /// Returns the media type (RFC 6838).
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Pdf => "application/pdf",
        }
    }

    /// Returns `true` for the types of images.
    #[must_use]
    pub const fn is_image(self) -> bool {
        !matches!(self, Self::Pdf)
    }
}
