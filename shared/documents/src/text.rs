//! Texts with parsed markup.

use serde::{Deserialize, Serialize};

use crate::{Inline, SourceId, inline};

/// A text, both as the model wrote it and as [`Inline`]s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Text {
    source: String,
    parsed: inline::Parsed,
}

impl Text {
    /// The text as the model wrote it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the text with its parsed markup.
    #[must_use]
    pub fn inlines(&self) -> &[Inline] {
        &self.parsed.inlines
    }

    /// The addresses that a document may not link to. Such links are plain text in [`Text::inlines`].
    #[must_use]
    pub fn refused_links(&self) -> &[String] {
        &self.parsed.refused_links
    }

    /// The citations in the text, in order.
    #[must_use]
    pub fn citations(&self) -> Vec<&SourceId> {
        let mut found = Vec::new();
        collect(self.inlines(), &mut found);
        found
    }

    /// The text without its markup and citations.
    #[must_use]
    pub fn plain(&self) -> String {
        inline::plain(self.inlines())
    }
}

fn collect<'a>(inlines: &'a [Inline], found: &mut Vec<&'a SourceId>) {
    for inline in inlines {
        match inline {
            Inline::Cite(id) => found.push(id),
            Inline::Bold(inner) | Inline::Italic(inner) | Inline::Link { text: inner, .. } => {
                collect(inner, found)
            }
            Inline::Plain(_) | Inline::Code(_) | Inline::Break => {}
        }
    }
}

impl From<String> for Text {
    fn from(source: String) -> Self {
        let parsed = inline::parse(&source);
        Self { source, parsed }
    }
}

impl From<&str> for Text {
    fn from(source: &str) -> Self {
        source.to_owned().into()
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.source
    }
}
