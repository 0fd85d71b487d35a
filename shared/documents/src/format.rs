//! The formats of exports.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// PDF, for reports and slides.
    Pdf,
    /// One self-contained page, for reports, slides and transcripts.
    Html,
    /// Markdown, for reports and transcripts.
    Markdown,
    /// The document as data, for documents of all types.
    Json,
    /// One JSON value per line, for the events of a run.
    Jsonl,
    /// An archive of files, for websites and projects.
    Zip,
}

impl Format {
    /// The version of the renderers. Every change of their output raises it, so that no cache serves an old
    /// file.
    pub const RENDERERS: u32 = 1;

    /// All formats of exports.
    pub const ALL: [Self; 6] = [Self::Pdf, Self::Html, Self::Markdown, Self::Json, Self::Jsonl, Self::Zip];

    /// The name of the format, as in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Html => "html",
            Self::Markdown => "markdown",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Zip => "zip",
        }
    }

    /// Returns the format with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The media type of files in this format.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Html => "text/html; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Json => "application/json",
            Self::Jsonl => "application/jsonl",
            Self::Zip => "application/zip",
        }
    }

    /// The extension of file names, without a dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            other => other.name(),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_to_the_same_format() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()), Some(format));
            assert_eq!(serde_json::to_value(format).unwrap(), format.name());
        }
        assert_eq!(Format::from_name("docx"), None);
    }
}
