//! The JSON that the templates read. It leaves no decision to them.

use std::collections::HashSet;

use sequent_documents::block::Table;
use sequent_documents::{Block, Inline, Report, Slides, Text, Theme};
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::chart::{self, Look};
use crate::citations::Citations;
use crate::writing::Writing;
use crate::{Error, headings, words};

/// The input of typst.
pub(super) struct View {
    /// The value that `data.json` holds. Each string with the name `text` is shown.
    pub(super) data: Value,
    /// SVG images, in order of appearance.
    pub(super) charts: Vec<String>,
}

/// The path of a chart in the world of the document.
pub(super) fn chart_path(at: usize) -> String {
    format!("chart-{at}.svg")
}

pub(super) fn report(report: &Report) -> Result<View, Error> {
    let mut viewer = Viewer::new(report.language.as_deref(), Citations::of_report(report), Look::LIGHT);
    let summary = report.summary.as_ref().map(|text| viewer.text(text));
    let mut sections = Vec::new();
    for (section, number) in report.sections.iter().zip(headings::numbers(&report.sections)) {
        let heading = viewer.line(&section.heading);
        sections.push(
            json!({"heading": heading, "level": number.level, "blocks": viewer.blocks(&section.blocks)?}),
        );
    }
    let data = json!({
        "title": viewer.line(&report.title),
        "subtitle": report.subtitle.as_ref().map(|line| viewer.line(line)),
        "authors": report.authors.iter().map(|line| viewer.line(line)).collect::<Vec<_>>(),
        "date": report.date,
        "abstract": summary,
        "sections": sections,
    });
    Ok(viewer.finish(data))
}

pub(super) fn slides(slides: &Slides) -> Result<View, Error> {
    let look = match slides.theme {
        Theme::Light => Look::LIGHT,
        Theme::Dark => Look::DARK,
    };
    let mut viewer = Viewer::new(slides.language.as_deref(), Citations::of_slides(slides), look);
    viewer.footnotes = false;
    viewer.quotes = false;
    let mut pages = Vec::new();
    for slide in &slides.slides {
        let title = viewer.line(&slide.title);
        pages.push(json!({"title": title, "layout": slide.layout, "blocks": viewer.blocks(&slide.blocks)?}));
    }
    let data = json!({
        "title": viewer.line(&slides.title),
        "subtitle": slides.subtitle.as_ref().map(|line| viewer.line(line)),
        "theme": slides.theme,
        "slides": pages,
    });
    Ok(viewer.finish(data))
}

struct Viewer<'a> {
    writing: Writing<'a>,
    citations: Citations<'a>,
    look: Look,
    charts: Vec<String>,
    /// The numbers of the sources that have a footnote already.
    noted: HashSet<usize>,
    /// Citations may open footnotes here. They may not in a table header, which is repeated, or in a caption,
    /// which may be listed.
    footnotes: bool,
    /// The list of sources has their quotes.
    quotes: bool,
}

impl<'a> Viewer<'a> {
    fn new(language: Option<&'a str>, citations: Citations<'a>, look: Look) -> Self {
        let writing = Writing::of_document(language);
        Self {
            writing,
            citations,
            look,
            charts: Vec::new(),
            noted: HashSet::new(),
            footnotes: true,
            quotes: true,
        }
    }

    fn finish(self, mut data: Value) -> View {
        let sources = self.citations.sources().map(|(number, source)| {
            json!({
                "number": number,
                "title": self.line(&source.title),
                "url": source.url.as_str(),
                "address": {"text": breakable(source.url.as_str())},
                "accessed": source.accessed,
                // Slides have no room for quotes.
                "quote": source.quote.as_ref().filter(|_| self.quotes).map(|line| self.line(line)),
            })
        });
        data["sources"] = sources.collect();
        data["words"] = serde_json::to_value(words::of(self.writing)).unwrap_or_default();
        data["writing"] = writing(self.writing);
        View { data, charts: self.charts }
    }

    fn line(&self, line: &str) -> Value {
        json!({"writing": writing(self.writing.of(line)), "text": breakable(line)})
    }

    fn text(&mut self, text: &Text) -> Value {
        let writing = writing(self.writing.of(&text.plain()));
        json!({"writing": writing, "inlines": self.inlines(text.inlines())})
    }

    fn without_footnotes(&mut self, text: &Text) -> Value {
        let before = std::mem::replace(&mut self.footnotes, false);
        let value = self.text(text);
        self.footnotes = before;
        value
    }

    fn inlines(&mut self, inlines: &[Inline]) -> Value {
        let mut after_citation = false;
        let mut values = Vec::new();
        for inline in inlines {
            let is_citation = matches!(inline, Inline::Cite(_));
            values.extend(self.inline(inline, after_citation));
            after_citation = is_citation;
        }
        Value::Array(values)
    }

    fn inline(&mut self, inline: &Inline, after_citation: bool) -> Option<Value> {
        Some(match inline {
            Inline::Plain(text) => json!({"kind": "plain", "text": breakable(text)}),
            Inline::Bold(inner) => json!({"kind": "bold", "inner": self.inlines(inner)}),
            Inline::Italic(inner) => json!({"kind": "italic", "inner": self.inlines(inner)}),
            Inline::Code(text) => json!({"kind": "code", "text": breakable(text)}),
            Inline::Link { text, url } => {
                json!({"kind": "link", "inner": self.inlines(text), "url": url.as_str()})
            }
            Inline::Cite(id) => {
                let number = self.citations.number(id.as_str())?;
                let note = self.footnotes && self.noted.insert(number);
                json!({"kind": "cite", "number": number, "note": note, "after_citation": after_citation})
            }
            Inline::Break => json!({"kind": "break"}),
        })
    }

    fn blocks(&mut self, blocks: &[Block]) -> Result<Value, Error> {
        blocks.iter().map(|block| self.block(block)).collect()
    }

    fn block(&mut self, block: &Block) -> Result<Value, Error> {
        Ok(match block {
            Block::Paragraph { text } => json!({"kind": "paragraph", "text": self.text(text)}),
            Block::List { ordered, items } => {
                let items: Vec<_> = items.iter().map(|item| self.text(item)).collect();
                json!({"kind": "list", "ordered": ordered, "items": items})
            }
            Block::Table(table) => self.table(table),
            Block::Chart(chart) => {
                self.charts.push(chart::svg(chart, &self.look)?);
                let caption = chart.caption.as_ref().map(|text| self.without_footnotes(text));
                let has_long_caption = chart.caption.as_ref().is_some_and(|text| text.source().len() > 600);
                json!({"kind": "chart", "path": chart_path(self.charts.len() - 1), "caption": caption,
                       "has_long_caption": has_long_caption, "alt": chart::description(chart)})
            }
            Block::Quote { text, source } => {
                let text = self.text(text);
                json!({"kind": "quote", "text": text, "source": source.as_ref().map(|text| self.text(text))})
            }
            Block::Code { language, text } => {
                json!({"kind": "code", "language": language, "text": breakable_code(text)})
            }
            Block::Callout { tone, title, text } => {
                let title = title.as_ref().map(|line| self.line(line));
                json!({"kind": "callout", "tone": tone, "title": title, "text": self.text(text)})
            }
        })
    }

    fn table(&mut self, table: &Table) -> Value {
        let caption = table.caption.as_ref().map(|text| self.without_footnotes(text));
        let header: Vec<_> = table.header.iter().map(|cell| self.without_footnotes(cell)).collect();
        let rows: Vec<Vec<_>> =
            table.rows.iter().map(|row| row.iter().map(|cell| self.text(cell)).collect()).collect();
        json!({"kind": "table", "caption": caption, "header": header, "rows": rows,
               "align": table.alignment(), "widths": widths(table),
               "repeats_header": repeats_header(table), "is_short": is_short(table)})
    }
}

/// Returns `true` if the header takes a few lines at most. It is then repeated on every page. Such a header may not break,
/// so one that is higher than a page would be cut.
fn repeats_header(table: &Table) -> bool {
    let longest = table.header.iter().map(|cell| chart::width(&cell.plain())).fold(0.0, f64::max);
    longest * (table.header.len() as f64) <= 800.0
}

/// Returns `true` if the table takes less than half of a page. It then stays in one piece.
fn is_short(table: &Table) -> bool {
    let cells = table.rows.iter().flatten().chain(&table.header).chain(&table.caption);
    let columns = table.header.len().max(1) as f64;
    // The height of a row is that of its highest cell, so each cell counts as if the row were as full as itself.
    let text: f64 = cells.map(|cell| chart::width(&cell.plain())).sum();
    table.rows.len() <= 10 && text * columns.sqrt() <= 2_500.0
}

fn writing(writing: Writing<'_>) -> Value {
    json!({"lang": writing.primary(), "region": writing.region(), "dir": writing.dir()})
}

/// The relative widths of the columns: enough for the longest word, and more for more text.
fn widths(table: &Table) -> Vec<f64> {
    let column = |at: usize| {
        let cells = table.rows.iter().chain(std::iter::once(&table.header)).filter_map(|row| row.get(at));
        let mut word = 4.0_f64;
        let mut whole = 4.0_f64;
        for cell in cells {
            let text = cell.plain();
            word = text.split_whitespace().map(chart::width).fold(word, f64::max);
            whole = whole.max(chart::width(&text));
        }
        word.min(18.0).max(whole.min(30.0)) + 2.0
    };
    (0..table.header.len()).map(column).collect()
}

/// The longest run of letters that fits on a line in any case.
const LONGEST_WORD: usize = 36;

/// Inserts zero-width spaces into words that are too long for a line.
fn breakable(text: &str) -> String {
    break_runs(text, LONGEST_WORD)
}

fn breakable_code(text: &str) -> String {
    break_runs(text, 72)
}

fn break_runs(text: &str, longest: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run = 0;
    // A letter stays with its marks, and an emoji in one piece.
    for cluster in text.graphemes(true) {
        run = if cluster.chars().all(char::is_whitespace) { 0 } else { run + 1 };
        // Lines of scripts without spaces may break anywhere.
        let is_spaced = cluster.chars().next().is_some_and(|c| u32::from(c) < 0x2E80);
        if run > longest && is_spaced {
            out.push('\u{200B}');
            run = 1;
        }
        out.push_str(cluster);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_too_long_for_a_line_are_broken() {
        assert_eq!(breakable("an ordinary sentence with words"), "an ordinary sentence with words");
        assert_eq!(breakable(&"x".repeat(100)).matches('\u{200B}').count(), 2);
        assert_eq!(breakable(&"=".repeat(100)).matches('\u{200B}').count(), 2);
        assert_eq!(breakable(&"海".repeat(100)).matches('\u{200B}').count(), 0);
        assert_eq!(breakable(&"कि".repeat(40)), format!("{}\u{200B}{}", "कि".repeat(36), "कि".repeat(4)));
    }
}
