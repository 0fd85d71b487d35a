//! Parsing and writing of documents.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{InvalidDocument, Report, Slides, Website, check, limits, schema, structure};

/// A valid document. In JSON, `type` is its type.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "plain data")]
pub enum Document {
    Report(Report),
    Slides(Slides),
    Website(Website),
}

/// The types of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "plain data")]
pub enum DocumentKind {
    Report,
    Slides,
    Website,
}

impl DocumentKind {
    /// All types of documents.
    pub const ALL: [Self; 3] = [Self::Report, Self::Slides, Self::Website];

    /// The name of the type, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Slides => "slides",
            Self::Website => "website",
        }
    }

    const fn max_bytes(self) -> usize {
        match self {
            Self::Report | Self::Slides => limits::DOCUMENT_BYTES,
            Self::Website => limits::WEBSITE_BYTES,
        }
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Document {
    /// Parses and checks a document.
    ///
    /// # Errors
    /// [`InvalidDocument`] lists what to fix.
    pub fn parse(json: impl AsRef<[u8]>) -> Result<Self, InvalidDocument> {
        let json = json.as_ref();
        if json.len() > limits::WEBSITE_BYTES {
            return Err(too_large(limits::WEBSITE_BYTES));
        }
        let value: Value = serde_json::from_slice(json)
            .map_err(|error| InvalidDocument::one("", format!("this is not valid JSON: {error}")))?;
        let kind = kind_of(&value)?;
        if json.len() > kind.max_bytes() {
            return Err(too_large(kind.max_bytes()));
        }
        Self::checked(kind, value)
    }

    /// Checks a document that is parsed already.
    ///
    /// # Errors
    /// [`InvalidDocument`] lists what to fix.
    pub fn from_value(value: Value) -> Result<Self, InvalidDocument> {
        let kind = kind_of(&value)?;
        Self::checked(kind, value)
    }

    fn checked(kind: DocumentKind, mut value: Value) -> Result<Self, InvalidDocument> {
        structure::check(kind, &value)?;
        InvalidDocument::unless_empty(check::characters(kind, &value))?;
        if let Some(object) = value.as_object_mut() {
            object.remove("type");
        }
        let document = match kind {
            DocumentKind::Report => Self::Report(typed(value)?),
            DocumentKind::Slides => Self::Slides(typed(value)?),
            DocumentKind::Website => Self::Website(typed(value)?),
        };
        InvalidDocument::unless_empty(check::rules(&document))?;
        Ok(document)
    }

    /// Returns the JSON Schema (2020-12) of one type, for a model. Some rules go beyond it.
    #[must_use]
    pub fn schema(kind: DocumentKind) -> Value {
        schema::of(kind)
    }

    /// The type of the document.
    #[must_use]
    pub const fn kind(&self) -> DocumentKind {
        match self {
            Self::Report(_) => DocumentKind::Report,
            Self::Slides(_) => DocumentKind::Slides,
            Self::Website(_) => DocumentKind::Website,
        }
    }

    /// The title of the document.
    #[must_use]
    pub fn title(&self) -> &str {
        match self {
            Self::Report(report) => &report.title,
            Self::Slides(slides) => &slides.title,
            Self::Website(website) => &website.title,
        }
    }

    /// Writes the document as compact JSON. Equal documents give equal bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("documents have only string keys and finite numbers")
    }
}

/// Stored documents are checked again: the reader may be newer than the writer.
impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn kind_of(value: &Value) -> Result<DocumentKind, InvalidDocument> {
    let Some(object) = value.as_object() else {
        return Err(InvalidDocument::one("", "the document must be a JSON object"));
    };
    let name = object.get("type").and_then(Value::as_str);
    DocumentKind::ALL
        .into_iter()
        .find(|kind| Some(kind.as_str()) == name)
        .ok_or_else(|| InvalidDocument::one("/type", "the type must be one of `report`, `slides`, `website`"))
}

fn too_large(max: usize) -> InvalidDocument {
    InvalidDocument::one("", format!("the document is too large: it may have at most {max} bytes of JSON"))
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, InvalidDocument> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut pointer = String::new();
        for segment in error.path() {
            match segment {
                serde_path_to_error::Segment::Seq { index } => pointer += &format!("/{index}"),
                serde_path_to_error::Segment::Map { key } => pointer += &format!("/{key}"),
                _ => {}
            }
        }
        InvalidDocument::one(pointer, error.inner().to_string())
    })
}
