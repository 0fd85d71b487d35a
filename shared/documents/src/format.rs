//! The formats that files are exported in.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// PDF: reports and slides.
    Pdf,
    /// One self-contained page: reports, slides and transcripts.
    Html,
    /// Markdown: reports and transcripts.
    Markdown,
    /// The document as data: all of them.
    Json,
    /// One JSON value a line: the events of a run.
    Jsonl,
    /// An archive of files: websites and projects.
    Zip,
}

impl Format {
    /// The version of what writes the formats: raised with every change to what it writes, so that no cache serves the old.
    pub const RENDERERS: u32 = 1;

    /// All of them.
    pub const ALL: [Self; 6] = [Self::Pdf, Self::Html, Self::Markdown, Self::Json, Self::Jsonl, Self::Zip];

    /// The format's name, as an API has it.
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

    /// The format with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The media type.
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

    /// The extension of a file's name, without a dot.
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
    fn names_lead_back() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()), Some(format));
            assert_eq!(serde_json::to_value(format).unwrap(), format.name());
        }
        assert_eq!(Format::from_name("docx"), None);
    }
}
