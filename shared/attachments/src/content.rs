//! The content of a message, as a client sends it.

use std::fmt;

use sequent_conversation::Prompt;
use sequent_core::ArtifactId;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, SeqAccess, Visitor, value::SeqAccessDeserializer},
};

use crate::InlineFile;

/// The content of a message: a text of 1 byte to 64 KiB, or up to 32 parts of at most 64 KiB together, of which 10 may be
/// files.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum MessageContent {
    /// A text and nothing else.
    Text(Prompt),
    /// Parts in the order in which the person wrote them.
    Parts(Vec<ContentPart>),
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "plain data")]
pub enum ContentPart {
    Text {
        text: String,
    },
    /// An artifact that is an image.
    Image {
        artifact_id: ArtifactId,
        /// The name that the model reads. The title of the artifact if it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_length = 200))]
        name: Option<String>,
    },
    /// An artifact of any kind that can be attached.
    File {
        artifact_id: ArtifactId,
        /// The name that the model reads. The title of the artifact if it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_length = 200))]
        name: Option<String>,
    },
    /// A file inside the message. Clients of the AI SDK send it as a `data:` URL.
    #[serde(skip)]
    Inline(InlineFile),
    /// Structured data of the product.
    Data {
        #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 64))]
        name: String,
        data: serde_json::Value,
    },
}

impl MessageContent {
    /// Returns `true` if the content refers to files.
    #[must_use]
    pub fn has_files(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Parts(parts) => parts.iter().any(ContentPart::is_file),
        }
    }
}

impl ContentPart {
    /// Returns `true` if the part refers to a file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self, Self::Image { .. } | Self::File { .. } | Self::Inline(_))
    }
}

/// Not derived, because a derived one cannot limit the number of parts.
#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for MessageContent {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder, Ref};

        let parts = ArrayBuilder::new()
            .items(Ref::from_schema_name(<ContentPart as utoipa::ToSchema>::name()))
            .min_items(Some(1))
            .max_items(Some(Prompt::MAX_PARTS))
            .description(Some("Parts in the order in which the person wrote them."));
        let text = Ref::from_schema_name(<Prompt as utoipa::ToSchema>::name());
        let content =
            "A text of 1 byte to 64 KiB, or parts of at most 64 KiB together, of which 10 may be files.";
        OneOfBuilder::new().item(text).item(parts).description(Some(content)).into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for MessageContent {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        for (name, schema) in [
            (<Prompt as utoipa::ToSchema>::name(), <Prompt as utoipa::PartialSchema>::schema()),
            (<ContentPart as utoipa::ToSchema>::name(), <ContentPart as utoipa::PartialSchema>::schema()),
        ] {
            schemas.push((name.into_owned(), schema));
        }
        <Prompt as utoipa::ToSchema>::schemas(schemas);
        <ContentPart as utoipa::ToSchema>::schemas(schemas);
    }
}

/// Not derived, because the error of a derived one does not say what is expected.
impl<'de> Deserialize<'de> for MessageContent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = MessageContent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of parts")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<MessageContent, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<MessageContent, E> {
        Prompt::try_from(text).map(MessageContent::Text).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<MessageContent, A::Error> {
        let parts = Vec::deserialize(SeqAccessDeserializer::new(parts))?;
        if parts.is_empty() {
            return Err(A::Error::custom("must have at least one part"));
        }
        Ok(MessageContent::Parts(parts))
    }
}

impl From<Prompt> for MessageContent {
    fn from(text: Prompt) -> Self {
        Self::Text(text)
    }
}
