//! Files that come inside a message, as `data:` URLs (RFC 2397).

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use sequent_artifacts::{Artifact, Content, Description, Origin};
use sequent_core::{ArtifactId, Timestamp, UserId};

use crate::{Refusal, kind::FileKind};

/// Most bytes of all files inside one message.
pub const MAX_INLINE_BYTES: usize = 4 << 20;
/// The kind of artifact that a file inside a message becomes.
const ENTITY_TYPE: &str = "attachment";

/// A file that came inside a message.
#[derive(Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// The media type that the client declared.
    declared: String,
    pub(crate) name: Option<String>,
    bytes: Bytes,
}

/// A file that becomes an artifact when its message is stored.
#[derive(Debug)]
pub(crate) struct NewFile {
    pub(crate) artifact: Artifact,
    pub(crate) bytes: Bytes,
}

impl InlineFile {
    /// Reads a `data:` URL in Base64. Returns `None` if the text is no such URL.
    #[must_use]
    pub fn parse(url: &str, declared: Option<&str>, name: Option<String>) -> Option<Self> {
        let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
        let media_type = head.strip_suffix(";base64")?;
        let bytes = STANDARD.decode(data).ok()?;
        let declared = declared.filter(|declared| !declared.is_empty()).unwrap_or(media_type).to_owned();
        Some(Self { declared, name, bytes: bytes.into() })
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Makes the artifact of the file. Its type is that of its bytes.
    pub(crate) fn into_new(self, user: UserId) -> Result<NewFile, Refusal> {
        let declared = FileKind::of_media_type(&self.declared);
        let kind = FileKind::of_bytes(&self.bytes, declared);
        let kind = kind.ok_or_else(|| Refusal::Type(self.declared.clone()))?;
        let title = self.name.clone().filter(|name| !name.trim().is_empty());
        let description = Description {
            title: title.unwrap_or_else(|| "Attachment".to_owned()),
            entity_type: ENTITY_TYPE.to_owned(),
            tags: Vec::new(),
            media_type: kind.media_type(&self.declared),
        };
        let description = description.checked().map_err(|invalid| match invalid.field {
            "media_type" => Refusal::Type(self.declared.clone()),
            _ => Refusal::Name,
        })?;
        let origin = Origin { user: Some(user), ..Origin::default() };
        let content = Content::of(&self.bytes);
        let artifact = Artifact::new(ArtifactId::new(), description, origin, content, Timestamp::now());
        Ok(NewFile { artifact, bytes: self.bytes })
    }
}

/// Leaves out the bytes, which can be millions.
impl fmt::Debug for InlineFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.declared, self.bytes.len())
    }
}
