//! Reports.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Block, Source, SourceId, Text, WebUrl, limits};

/// A report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of the format: 1.
    pub version: u8,
    /// The title.
    pub title: String,
    /// A second line to the title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtitle: Option<String>,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// The day, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The main language, a BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What it comes to.
    #[serde(default, rename = "abstract", skip_serializing_if = "Option::is_none")]
    pub summary: Option<Text>,
    /// The sections, in order.
    pub sections: Vec<Section>,
    /// What it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
}

/// A section: a heading and what stands below it, up to the next heading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// The heading.
    pub heading: String,
    /// 1 to 3; a deeper section belongs to the one before it.
    pub level: u8,
    /// What stands below.
    #[serde(default)]
    pub blocks: Vec<Block>,
}

impl Report {
    /// What it says, without markup: headings, texts, cells and labels, one to a line.
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

    /// The sources that its texts cite.
    #[must_use]
    pub fn cited(&self) -> BTreeSet<&str> {
        let texts = self.sections.iter().flat_map(|section| &section.blocks).flat_map(Block::texts);
        let texts = self.summary.iter().chain(texts);
        texts.flat_map(Text::citations).map(SourceId::as_str).collect()
    }

    /// Adds a source under a name of its own. `None`: the list is full, or the title cannot be one.
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
