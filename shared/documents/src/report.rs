//! Reports: documents of titled sections.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Block, Source, SourceId, Text, WebUrl, limits};

/// A document of titled sections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Report {
    /// The version of the format: 1.
    pub version: u8,
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtitle: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// The date, as `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The main language, as a BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    #[serde(default, rename = "abstract", skip_serializing_if = "Option::is_none")]
    pub summary: Option<Text>,
    pub sections: Vec<Section>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
}

/// A heading and the blocks up to the next heading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Section {
    pub heading: String,
    /// The level of the heading, 1 to 3. A deeper section belongs to the one before it.
    pub level: u8,
    #[serde(default)]
    pub blocks: Vec<Block>,
}

impl Report {
    /// All texts without markup, one per line: headings, texts, cells and labels.
    #[must_use]
    pub fn plain(&self) -> String {
        let mut lines = vec![self.title.clone()];
        lines.extend(self.subtitle.clone());
        lines.extend(self.authors.iter().cloned());
        lines.extend(self.summary.as_ref().map(Text::plain));
        for section in &self.sections {
            lines.push(section.heading.clone());
            section.blocks.iter().for_each(|block| lines.extend(block.plain()));
        }
        lines.join("\n")
    }

    /// The ids of the sources that the texts cite.
    #[must_use]
    pub fn cited(&self) -> BTreeSet<&str> {
        let texts = self.sections.iter().flat_map(|section| &section.blocks).flat_map(Block::texts);
        let texts = self.summary.iter().chain(texts);
        texts.flat_map(Text::citations).map(SourceId::as_str).collect()
    }

    /// Adds a source under a new id. Returns `None` if the list is full.
    pub fn add_source(&mut self, url: WebUrl, title: &str, quote: Option<String>) -> Option<SourceId> {
        if self.sources.len() >= limits::SOURCES {
            return None;
        }
        let is_free = |id: &SourceId| self.sources.iter().all(|source| source.id != *id);
        let id = (1..).filter_map(|n: u32| SourceId::new(&format!("s{n}"))).find(is_free)?;
        let title = title.chars().map(|c| if c.is_control() { ' ' } else { c }).take(limits::LINE_CHARS);
        let title: String = title.collect();
        let title = if title.trim().is_empty() {
            url.as_str().chars().take(limits::LINE_CHARS).collect()
        } else {
            title
        };
        self.sources.push(Source { id: id.clone(), url, title, accessed: None, quote });
        Some(id)
    }
}
