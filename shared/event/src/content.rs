//! The content of a person's message.

use std::{borrow::Cow, fmt};

use sequent_core::ArtifactId;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use serde_json::Value;

/// The content of a person's message. On the wire it is a string or an array of parts: an event with a string has version 1
/// of its type, and one with an array has version 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum UserContent {
    /// A text and nothing else.
    Text(String),
    /// Parts in the person's order.
    Parts(Vec<UserPart>),
}

/// A part of a person's message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "plain data")]
pub enum UserPart {
    Text {
        text: String,
    },
    /// An image that models may be shown.
    Image(Attachment),
    /// A file that is no image.
    File(Attachment),
    /// Structured data of the product, such as a selection on its screen.
    Data(DataPart),
}

/// An artifact of the tenant that a message refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct Attachment {
    pub artifact_id: ArtifactId,
    /// The media type of the bytes (RFC 6838).
    pub media_type: String,
    /// The name of the file, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The number of bytes.
    pub size: u64,
}

/// JSON in a message, with the product's name for its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct DataPart {
    pub name: String,
    pub data: Value,
}

impl DataPart {
    /// The name of the part with the body of the request that called a hook. Others than the person have written it: models are
    /// told to follow no instruction in it, and what it names is not what the person has asked for.
    pub const REQUEST_BODY: &'static str = "request_body";
}

impl UserContent {
    /// Returns the texts of the content, one below the other.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Parts(parts) => {
                let texts: Vec<&str> = parts.iter().filter_map(UserPart::text).collect();
                Cow::Owned(texts.join("\n"))
            }
        }
    }

    /// Returns all that a model without eyes can read of the content: its texts and data, and a line for each attachment.
    #[must_use]
    pub fn readable(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Parts(parts) => {
                let lines: Vec<Cow<'_, str>> = parts.iter().map(UserPart::readable).collect();
                Cow::Owned(lines.join("\n"))
            }
        }
    }

    /// Returns what [`readable`](Self::readable) does, without the body of a request: what the person has said.
    #[must_use]
    pub fn of_person(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Parts(parts) => {
                let own = parts.iter().filter(|part| !part.is_request_body());
                let lines: Vec<Cow<'_, str>> = own.map(UserPart::readable).collect();
                Cow::Owned(lines.join("\n"))
            }
        }
    }
}

impl UserPart {
    fn is_request_body(&self) -> bool {
        matches!(self, Self::Data(part) if part.name == DataPart::REQUEST_BODY)
    }

    /// Returns the text of a text part.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text { text } => Some(text),
            Self::Image(_) | Self::File(_) | Self::Data(_) => None,
        }
    }

    /// Returns the part as text for a model.
    #[must_use]
    pub fn readable(&self) -> Cow<'_, str> {
        match self {
            Self::Text { text } => Cow::Borrowed(text),
            Self::Image(attachment) | Self::File(attachment) => Cow::Owned(attachment.describe()),
            Self::Data(DataPart { name, data }) => Cow::Owned(format!("[{name}] {data}")),
        }
    }
}

impl Attachment {
    /// Returns a line that tells a model what is attached.
    #[must_use]
    pub fn describe(&self) -> String {
        let Self { artifact_id, media_type, name, size } = self;
        let name = name.as_deref().unwrap_or("a file without a name");
        format!("[attached: {name}, {media_type}, {size} bytes, {artifact_id}]")
    }
}

/// Not derived, because the error of a derived one does not say what is expected.
impl<'de> Deserialize<'de> for UserContent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = UserContent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of parts")
    }

    fn visit_str<E>(self, text: &str) -> Result<UserContent, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<UserContent, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<UserContent, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(parts)).map(UserContent::Parts)
    }
}

impl From<String> for UserContent {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for UserContent {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use sequent_core::MessageId;
    use serde_json::json;

    use super::*;
    use crate::{Body, Entry};

    fn stored(v: u16, content: &Value) -> String {
        let message = MessageId::from_bits(1);
        format!(
            r#"{{"v":{v},"timestamp":5,"type":"USER_MESSAGE","messageId":"{message}","content":{content},"model":"demo"}}"#
        )
    }

    #[test]
    fn a_text_is_version_1_and_parts_are_version_2_and_both_are_replayed_byte_for_byte() {
        let artifact = ArtifactId::from_bits(7);
        let image = json!({"type": "image", "artifactId": artifact, "mediaType": "image/png", "size": 9});
        let parts = json!([
            {"type": "text", "text": "Why \"this\"?"},
            image,
            {"type": "data", "name": "selection", "data": {"rows": [1, 2]}},
        ]);
        for (v, content) in [(1, json!("Why?")), (2, parts)] {
            let stored = stored(v, &content);
            let entry: Entry = serde_json::from_str(&stored).unwrap();
            assert!(entry.body().is_some(), "version {v} is understood");
            let again: Value = serde_json::to_value(&entry).unwrap();
            assert_eq!(again, serde_json::from_str::<Value>(&stored).unwrap());
        }
    }

    #[test]
    fn a_model_reads_all_parts_and_a_title_is_made_of_the_texts() {
        let attachment = Attachment {
            artifact_id: ArtifactId::from_bits(7),
            media_type: "application/pdf".into(),
            name: Some("tides.pdf".into()),
            size: 9,
        };
        let data = DataPart { name: "cell".into(), data: json!("B2") };
        let parts =
            [UserPart::Text { text: "Sum up.".into() }, UserPart::File(attachment), UserPart::Data(data)];
        let content = UserContent::Parts(parts.into());
        assert_eq!(content.text(), "Sum up.");
        insta::assert_snapshot!(content.readable(), @r#"
        Sum up.
        [attached: tides.pdf, application/pdf, 9 bytes, art_00000000000000000000000007]
        [cell] "B2"
        "#);
    }

    #[test]
    fn the_version_follows_the_content() {
        let body =
            |content| Body::UserMessage { message_id: MessageId::new(), content, by: None, model: None };
        assert_eq!(body("Hi".into()).version(), 1);
        assert_eq!(body(UserContent::Parts(Vec::new())).version(), 2);
        assert!(!Body::understands("TEXT_MESSAGE_END", 2) && !Body::understands("USER_MESSAGE", 3));
    }
}
