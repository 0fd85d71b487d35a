//! The numbers of sources, in reading order.

use std::collections::HashMap;

use sequent_documents::block::Table;
use sequent_documents::{Block, Report, Slides, Source, Text};

/// The sources of a document, numbered from 1 in the order of their first citations. Uncited sources come
/// last.
pub(crate) struct Citations<'a> {
    numbers: HashMap<&'a str, usize>,
    order: Vec<&'a Source>,
}

impl<'a> Citations<'a> {
    pub(crate) fn of_report(report: &'a Report) -> Self {
        let blocks = report.sections.iter().flat_map(|section| &section.blocks);
        Self::new(&report.sources, report.summary.iter().chain(blocks.flat_map(texts)))
    }

    pub(crate) fn of_slides(slides: &'a Slides) -> Self {
        let texts =
            slides.slides.iter().flat_map(|slide| slide.blocks.iter().flat_map(texts).chain(&slide.notes));
        Self::new(&slides.sources, texts)
    }

    fn new(sources: &'a [Source], texts: impl Iterator<Item = &'a Text>) -> Self {
        let by_id: HashMap<_, _> = sources.iter().map(|source| (source.id.as_str(), source)).collect();
        let cited = texts.flat_map(|text| text.citations()).filter_map(|id| by_id.get(id.as_str()).copied());
        let mut this = Self { numbers: HashMap::new(), order: Vec::new() };
        for source in cited.chain(sources) {
            if !this.numbers.contains_key(source.id.as_str()) {
                this.order.push(source);
                this.numbers.insert(source.id.as_str(), this.order.len());
            }
        }
        this
    }

    /// Returns the number of the source with this id. A valid document cites only sources that it lists.
    pub(crate) fn number(&self, id: &str) -> Option<usize> {
        self.numbers.get(id).copied()
    }

    /// The sources by number.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (usize, &'a Source)> {
        self.order.iter().enumerate().map(|(at, source)| (at + 1, *source))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

/// The texts of a block, in reading order.
fn texts(block: &Block) -> Vec<&Text> {
    match block {
        Block::Paragraph { text } | Block::Callout { text, .. } => vec![text],
        Block::List { items, .. } => items.iter().collect(),
        Block::Table(Table { caption, header, rows, .. }) => {
            caption.iter().chain(header).chain(rows.iter().flatten()).collect()
        }
        Block::Chart(chart) => chart.caption.iter().collect(),
        Block::Quote { text, source } => [Some(text), source.as_ref()].into_iter().flatten().collect(),
        Block::Code { .. } => Vec::new(),
    }
}
