//! Texts and blocks as HTML.

use std::collections::HashSet;

use maud::{Markup, PreEscaped, html};
use sequent_documents::block::{Align, Table, Tone};
use sequent_documents::{Block, Chart, Inline, Source, Text};

use super::{Language, Plain};
use crate::Error;
use crate::chart::{self, Look};
use crate::citations::Citations;
use crate::words::{self, Words};
use crate::writing::Writing;

/// Writes the blocks of one document. It counts figures and citations as it goes.
pub(super) struct HtmlWriter<'a> {
    pub(super) writing: Writing<'a>,
    pub(super) words: Words,
    pub(super) citations: Citations<'a>,
    look: Look,
    figures: usize,
    tables: usize,
    /// The numbers of the sources cited so far. A source links back to its first citation.
    cited: HashSet<usize>,
}

impl<'a> HtmlWriter<'a> {
    pub(super) fn new(language: Option<&'a str>, citations: Citations<'a>, look: Look) -> Self {
        let writing = Writing::of_document(language);
        let words = words::of(writing);
        Self { writing, words, citations, look, figures: 0, tables: 0, cited: HashSet::new() }
    }

    pub(super) fn language(&self, text: &str) -> Language<'a> {
        Language::of(self.writing.of(text), self.writing)
    }

    /// One line as a `<span>`.
    pub(super) fn line(&self, line: &str) -> Markup {
        let own = self.language(line);
        html! { span lang=[own.lang] dir=[own.dir] { (Plain(line)) } }
    }

    /// A text as a `<p>`.
    pub(super) fn paragraph(&mut self, text: &Text) -> Markup {
        let own = self.language(&text.plain());
        html! { p lang=[own.lang] dir=[own.dir] { (self.inlines(text.inlines())) } }
    }

    /// A text as a `<span>`.
    fn span(&mut self, text: &Text) -> Markup {
        let own = self.language(&text.plain());
        html! { span lang=[own.lang] dir=[own.dir] { (self.inlines(text.inlines())) } }
    }

    fn inlines(&mut self, inlines: &[Inline]) -> Markup {
        let is_citation = |at: usize| matches!(inlines.get(at), Some(Inline::Cite(_)));
        html! {
            @for (at, inline) in inlines.iter().enumerate() {
                @if at > 0 && is_citation(at - 1) && is_citation(at) {
                    sup { "," }
                }
                (self.inline(inline))
            }
        }
    }

    fn inline(&mut self, inline: &Inline) -> Markup {
        match inline {
            Inline::Plain(text) => html! { (Plain(text)) },
            Inline::Bold(inner) => html! { strong { (self.inlines(inner)) } },
            Inline::Italic(inner) => html! { em { (self.inlines(inner)) } },
            Inline::Code(text) => html! { code dir="ltr" { (Plain(text)) } },
            Inline::Link { text, url } => link(url.as_str(), &self.inlines(text)),
            Inline::Cite(id) => match self.citations.number(id.as_str()) {
                Some(number) => self.citation(number),
                None => html! {},
            },
            Inline::Break => html! { br; },
        }
    }

    fn citation(&mut self, number: usize) -> Markup {
        let anchor = self.cited.insert(number).then(|| format!("cite-{number}"));
        html! { sup id=[anchor] { a href={ "#source-" (number) } { (number) } } }
    }

    pub(super) fn blocks(&mut self, blocks: &[Block]) -> Result<Markup, Error> {
        let blocks: Vec<Markup> =
            blocks.iter().map(|block| self.block(block)).collect::<Result<_, Error>>()?;
        Ok(html! { @for block in blocks { (block) "\n" } })
    }

    fn block(&mut self, block: &Block) -> Result<Markup, Error> {
        Ok(match block {
            Block::Paragraph { text } => self.paragraph(text),
            Block::List { ordered: true, items } => html! { ol { (self.items(items)) } },
            Block::List { ordered: false, items } => html! { ul { (self.items(items)) } },
            Block::Table(table) => self.table(table),
            Block::Chart(chart) => self.chart(chart)?,
            Block::Quote { text, source } => html! {
                blockquote {
                    (self.paragraph(text))
                    @if let Some(source) = source {
                        @let own = self.language(&source.plain());
                        footer lang=[own.lang] dir=[own.dir] { (self.inlines(source.inlines())) }
                    }
                }
            },
            Block::Code { text, .. } => html! { pre { code { (Plain(text)) } } },
            Block::Callout { tone, title, text } => self.callout(*tone, title.as_deref(), text),
        })
    }

    fn items(&mut self, items: &[Text]) -> Markup {
        html! {
            @for item in items {
                @let own = self.language(&item.plain());
                li lang=[own.lang] dir=[own.dir] { (self.inlines(item.inlines())) }
            }
        }
    }

    fn callout(&mut self, tone: Tone, title: Option<&str>, text: &Text) -> Markup {
        let tone = match tone {
            Tone::Note => "note",
            Tone::Success => "success",
            Tone::Warning => "warning",
        };
        html! {
            aside class=(tone) {
                @if let Some(title) = title {
                    @let own = self.language(title);
                    b.title lang=[own.lang] dir=[own.dir] { (Plain(title)) }
                }
                (self.span(text))
            }
        }
    }

    fn chart(&mut self, chart: &Chart) -> Result<Markup, Error> {
        self.figures += 1;
        let svg = chart::svg(chart, &self.look)?;
        let label = html! { (Plain(&chart::description(chart))) }.into_string();
        let svg = svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{label}\" "), 1);
        let caption = self.caption(self.words.figure, self.figures, chart.caption.as_ref());
        Ok(html! { figure { (PreEscaped(svg)) (caption) } })
    }

    fn caption(&mut self, name: &str, number: usize, caption: Option<&Text>) -> Markup {
        html! {
            @if let Some(caption) = caption {
                figcaption { b { (name) " " (number) } " " (self.span(caption)) }
            }
        }
    }

    fn table(&mut self, table: &Table) -> Markup {
        self.tables += 1;
        let align = table.alignment();
        html! {
            figure {
                (self.caption(self.words.table, self.tables, table.caption.as_ref()))
                div.scroll {
                    table {
                        thead {
                            tr {
                                @for (cell, align) in table.header.iter().zip(&align) {
                                    @let own = self.language(&cell.plain());
                                    th class=[class(*align)] lang=[own.lang] dir=[own.dir] {
                                        (self.inlines(cell.inlines()))
                                    }
                                }
                            }
                        }
                        tbody {
                            @for row in &table.rows {
                                tr { (self.cells(row, &align)) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn cells(&mut self, cells: &[Text], align: &[Align]) -> Markup {
        html! {
            @for (cell, align) in cells.iter().zip(align) {
                @let own = self.language(&cell.plain());
                td class=[class(*align)] lang=[own.lang] dir=[own.dir] { (self.inlines(cell.inlines())) }
            }
        }
    }

    /// The list of sources. A source that is cited links back to its first citation.
    pub(super) fn sources(&self) -> Markup {
        html! {
            ol.sources {
                @for (number, source) in self.citations.sources() {
                    li id={ "source-" (number) } { (self.source(number, source)) }
                }
            }
        }
    }

    fn source(&self, number: usize, source: &Source) -> Markup {
        let url = source.url.as_str();
        html! {
            (self.line(&source.title)) ". "
            span dir="ltr" { (link(url, &html! { (Plain(url)) })) }
            @if let Some(day) = &source.accessed {
                " (" (self.words.accessed) " " (Plain(day)) ")"
            }
            @if self.cited.contains(&number) {
                " " a href={ "#cite-" (number) } aria-label=(number) { "↩" }
            }
            @if let Some(quote) = &source.quote {
                @let own = self.language(quote);
                span.quote lang=[own.lang] dir=[own.dir] { (Plain(quote)) }
            }
        }
    }
}

const fn class(align: Align) -> Option<&'static str> {
    match align {
        Align::Start => None,
        Align::Center => Some("center"),
        Align::End => Some("end"),
    }
}

fn link(url: &str, inner: &Markup) -> Markup {
    html! { a href=(Plain(url)) rel="noopener noreferrer" { (inner) } }
}
