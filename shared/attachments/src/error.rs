//! The refusals of messages because of their files.

use sequent_conversation::PromptError;
use sequent_core::{ApiError, Code, ErrorDetails, MissingScope};

use crate::{MAX_FILE_BYTES, MAX_FILES, MAX_INLINE_BYTES};

/// The content of a message was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A part is not allowed.
    #[error("the part at {pointer} is refused: {refusal}")]
    Refused {
        /// JSON pointer of the place.
        pointer: String,
        /// The rule that the part breaks.
        #[source]
        refusal: Refusal,
    },
    /// The texts and data are not allowed.
    #[error("the content at {pointer} {error}")]
    Prompt {
        /// JSON pointer of the place.
        pointer: String,
        /// The rule that the content breaks.
        #[source]
        error: PromptError,
    },
    /// The credential may not use artifacts.
    #[error(transparent)]
    Scope(#[from] MissingScope),
    /// The artifacts could not be read.
    #[error(transparent)]
    Artifacts(#[from] sequent_artifacts::Error),
}

impl Error {
    /// Sets the JSON pointer of the place that is wrong.
    pub(crate) fn at(self, place: &str) -> Self {
        match self {
            Self::Refused { refusal, .. } => Self::Refused { pointer: place.to_owned(), refusal },
            Self::Prompt { error, .. } => Self::Prompt { pointer: place.to_owned(), error },
            error @ (Self::Scope(_) | Self::Artifacts(_)) => error,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { pointer: String::new(), refusal }
    }
}

impl From<PromptError> for Error {
    fn from(error: PromptError) -> Self {
        Self::Prompt { pointer: String::new(), error }
    }
}

/// The reason for which a file is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More files than a message may have.
    #[error("the message has {0} files")]
    TooMany(usize),
    /// The tenant has no such artifact.
    #[error("the tenant has no such artifact")]
    NotFound,
    /// The type of the file, which no model can be shown and no text can be read of.
    #[error("files of the type {0} cannot be attached")]
    Type(String),
    /// The part says that the file is an image, and the file has this type.
    #[error("a file of the type {0} is no image")]
    NotAnImage(String),
    /// The number of bytes, which is too large.
    #[error("the file has {0} bytes")]
    TooLarge(u64),
    /// More bytes inside the message than a message may have.
    #[error("the message has {0} bytes of files")]
    TooLargeInline(usize),
    /// The model cannot be shown images.
    #[error("the model {0} cannot be shown images")]
    Model(String),
    /// The image cannot be decoded whole, for this reason.
    #[error("the image cannot be read: {0}")]
    Unreadable(String),
    /// The name has control characters or is too long.
    #[error("the name is not allowed")]
    Name,
}

/// The types of files that can be attached, for people.
const TYPES: &str = "PNG, JPEG, GIF, WebP, PDF, DOCX, and text such as Markdown, CSV, JSON and HTML";

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::Refused { pointer, refusal } => refusal.details().at(pointer, refusal.rule()),
            Self::Prompt { pointer, error } => {
                let details = ErrorDetails::new(Code::ValidationFailed, "The message is not allowed.");
                details.at(pointer, error.to_string())
            }
            Self::Scope(error) => error.details(),
            Self::Artifacts(error) => error.details(),
        }
    }
}

impl Refusal {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::TooMany(_) => {
                let detail = format!("A message can have {MAX_FILES} files.");
                ErrorDetails::new(Code::TooManyAttachments, detail).with("max_files", MAX_FILES)
            }
            Self::NotFound => {
                ErrorDetails::new(Code::AttachmentNotFound, "There is no artifact with this id to attach.")
            }
            Self::Type(media_type) => {
                let detail = format!("Files of the type `{media_type}` cannot be attached. Attach {TYPES}.");
                ErrorDetails::new(Code::AttachmentTypeUnsupported, detail)
            }
            Self::NotAnImage(media_type) => {
                let detail = format!(
                    "The artifact has the type `{media_type}`. Send it as a part of the type `file`."
                );
                ErrorDetails::new(Code::AttachmentTypeUnsupported, detail)
            }
            Self::TooLarge(_) => {
                let detail = format!("A file can be attached up to {MAX_FILE_BYTES} bytes.");
                ErrorDetails::new(Code::AttachmentTooLarge, detail).with("max_bytes", MAX_FILE_BYTES)
            }
            Self::TooLargeInline(_) => {
                let detail = format!(
                    "The files inside a message can have {MAX_INLINE_BYTES} bytes together. Upload larger ones as artifacts."
                );
                ErrorDetails::new(Code::AttachmentTooLarge, detail).with("max_bytes", MAX_INLINE_BYTES)
            }
            Self::Model(model) => {
                let detail = format!(
                    "The model `{model}` reads text and the text of documents, and no images. Choose another model."
                );
                ErrorDetails::new(Code::ModelCannotReadAttachment, detail)
            }
            Self::Unreadable(reason) => {
                let detail = format!("The image cannot be read: {reason}.");
                ErrorDetails::new(Code::AttachmentUnreadable, detail)
            }
            Self::Name => ErrorDetails::new(Code::ValidationFailed, "The name of a file is not allowed."),
        }
    }

    fn rule(&self) -> String {
        match self {
            Self::TooMany(_) => format!("must have at most {MAX_FILES} files"),
            Self::NotFound => "must be an artifact of the tenant".to_owned(),
            Self::Type(_) => format!("must be a file of one of the types {TYPES}"),
            Self::NotAnImage(_) => "must be an image".to_owned(),
            Self::TooLarge(_) => format!("must have at most {MAX_FILE_BYTES} bytes"),
            Self::TooLargeInline(_) => format!("must have at most {MAX_INLINE_BYTES} bytes of files"),
            Self::Model(_) => "must not be an image".to_owned(),
            Self::Unreadable(_) => "must be a whole image".to_owned(),
            Self::Name => "must be one line of at most 200 characters".to_owned(),
        }
    }
}
