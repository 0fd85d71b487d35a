//! Texts and blocks as HTML.

use std::collections::HashSet;

use sequent_documents::block::{Align, Table, Tone};
use sequent_documents::{Block, Chart, Inline, Source, Text};

use super::{attributes, escape};
use crate::Error;
use crate::chart::{self, Look};
use crate::citations::Citations;
use crate::words::{self, Words};
use crate::writing::Writing;

/// Writes the blocks of one document, counting figures and citations as it goes.
pub(super) struct Writer<'a> {
    pub(super) writing: Writing<'a>,
    pub(super) words: Words,
    pub(super) citations: Citations<'a>,
    look: Look,
    figures: usize,
    tables: usize,
    /// The sources that were cited: the first citation is where the way back leads.
    cited: HashSet<usize>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(language: Option<&'a str>, citations: Citations<'a>, look: Look) -> Self {
        let writing = Writing::of_document(language);
        let words = words::of(writing);
        Self { writing, words, citations, look, figures: 0, tables: 0, cited: HashSet::new() }
    }

    /// `<tag>` around one line.
    pub(super) fn line(&self, tag: &str, line: &str) -> String {
        let attributes = attributes(self.writing, self.writing.of(line));
        format!("<{tag}{attributes}>{}</{}>", escape(line), tag.split(' ').next().unwrap_or(tag))
    }

    /// `<tag>` around a text.
    pub(super) fn text(&mut self, tag: &str, text: &Text) -> String {
        let attributes = attributes(self.writing, self.writing.of(&text.plain()));
        let name = tag.split(' ').next().unwrap_or(tag);
        format!("<{tag}{attributes}>{}</{name}>", self.inlines(text.inlines()))
    }

    fn inlines(&mut self, inlines: &[Inline]) -> String {
        let mut html = String::new();
        let mut after_citation = false;
        for inline in inlines {
            let is_citation = matches!(inline, Inline::Cite(_));
            if is_citation && after_citation {
                html.push_str("<sup>,</sup>");
            }
            html.push_str(&self.inline(inline));
            after_citation = is_citation;
        }
        html
    }

    fn inline(&mut self, inline: &Inline) -> String {
        match inline {
            Inline::Plain(text) => escape(text),
            Inline::Bold(inner) => format!("<strong>{}</strong>", self.inlines(inner)),
            Inline::Italic(inner) => format!("<em>{}</em>", self.inlines(inner)),
            Inline::Code(text) => format!("<code dir=\"ltr\">{}</code>", escape(text)),
            Inline::Link { text, url } => link(url.as_str(), &self.inlines(text)),
            Inline::Cite(id) => match self.citations.number(id.as_str()) {
                Some(number) => {
                    let anchor = if self.cited.insert(number) {
                        format!(" id=\"cite-{number}\"")
                    } else {
                        String::new()
                    };
                    format!("<sup{anchor}><a href=\"#source-{number}\">{number}</a></sup>")
                }
                None => String::new(),
            },
            Inline::Break => "<br>".to_owned(),
        }
    }

    pub(super) fn blocks(&mut self, blocks: &[Block]) -> Result<String, Error> {
        blocks.iter().map(|block| self.block(block)).collect()
    }

    fn block(&mut self, block: &Block) -> Result<String, Error> {
        Ok(match block {
            Block::Paragraph { text } => self.text("p", text) + "\n",
            Block::List { ordered, items } => {
                let tag = if *ordered { "ol" } else { "ul" };
                let items: String = items.iter().map(|item| self.text("li", item) + "\n").collect();
                format!("<{tag}>\n{items}</{tag}>\n")
            }
            Block::Table(table) => self.table(table),
            Block::Chart(chart) => self.chart(chart)?,
            Block::Quote { text, source } => {
                let words = self.text("p", text);
                let source = source.as_ref().map(|source| self.text("footer", source)).unwrap_or_default();
                format!("<blockquote>{words}{source}</blockquote>\n")
            }
            Block::Code { text, .. } => format!("<pre><code>{}</code></pre>\n", escape(text)),
            Block::Callout { tone, title, text } => {
                let tone = match tone {
                    Tone::Note => "note",
                    Tone::Success => "success",
                    Tone::Warning => "warning",
                };
                let title =
                    title.as_ref().map(|line| self.line("b class=\"title\"", line)).unwrap_or_default();
                format!("<aside class=\"{tone}\">{title}{}</aside>\n", self.text("span", text))
            }
        })
    }

    fn chart(&mut self, chart: &Chart) -> Result<String, Error> {
        self.figures += 1;
        let svg = chart::svg(chart, &self.look)?;
        let label = format!("<svg role=\"img\" aria-label=\"{}\" ", escape(&chart::description(chart)));
        let svg = svg.replacen("<svg ", &label, 1);
        let caption = self.caption(self.words.figure, self.figures, chart.caption.as_ref());
        Ok(format!("<figure>\n{svg}{caption}</figure>\n"))
    }

    fn caption(&mut self, name: &str, number: usize, caption: Option<&Text>) -> String {
        let Some(caption) = caption else { return String::new() };
        format!("<figcaption><b>{name} {number}</b> {}</figcaption>\n", self.text("span", caption))
    }

    fn table(&mut self, table: &Table) -> String {
        self.tables += 1;
        let caption = self.caption(self.words.table, self.tables, table.caption.as_ref());
        let align = table.alignment();
        let mut row = |tag: &str, cells: &[Text]| {
            let cell = |(cell, align): (&Text, &Align)| match align {
                Align::Start => self.text(tag, cell),
                Align::Center => self.text(&format!("{tag} class=\"center\""), cell),
                Align::End => self.text(&format!("{tag} class=\"end\""), cell),
            };
            format!("<tr>{}</tr>\n", cells.iter().zip(&align).map(cell).collect::<String>())
        };
        let header = row("th", &table.header);
        let rows: String = table.rows.iter().map(|cells| row("td", cells)).collect();
        format!(
            "<figure>\n{caption}<div class=\"scroll\"><table>\n<thead>{header}</thead>\n<tbody>\n{rows}</tbody>\n\
             </table></div>\n</figure>\n"
        )
    }

    /// The list of sources, with the ways back.
    pub(super) fn sources(&self) -> String {
        let item = |(number, source): (usize, &Source)| {
            let quote = source
                .quote
                .as_ref()
                .map(|quote| self.line("span class=\"quote\"", quote))
                .unwrap_or_default();
            let accessed = source.accessed.as_ref();
            let accessed =
                accessed.map(|day| format!(" ({} {})", self.words.accessed, escape(day))).unwrap_or_default();
            let back = match self.cited.contains(&number) {
                true => format!(" <a href=\"#cite-{number}\" aria-label=\"{number}\">↩</a>"),
                false => String::new(),
            };
            let url = source.url.as_str();
            let title = self.line("span", &source.title);
            let address = link(url, &escape(url));
            format!(
                "<li id=\"source-{number}\">{title}. <span dir=\"ltr\">{address}</span>{accessed}{back}{quote}</li>\n"
            )
        };
        let items: String = self.citations.sources().map(item).collect();
        format!("<ol class=\"sources\">\n{items}</ol>\n")
    }
}

fn link(url: &str, inner: &str) -> String {
    format!("<a href=\"{}\" rel=\"noopener noreferrer\">{inner}</a>", escape(url))
}
