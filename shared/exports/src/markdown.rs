//! Reports as CommonMark with tables and footnotes, as GitHub has them; charts become tables.

use sequent_documents::block::{Align, Table};
use sequent_documents::{Block, Chart, Inline, Report, Text};

use crate::citations::Citations;
use crate::headings;
use crate::words::{self, Words};
use crate::writing::Writing;

pub(crate) fn report(report: &Report) -> String {
    let citations = Citations::of_report(report);
    let words = words::of(Writing::of_document(report.language.as_deref()));
    let writer = MarkdownWriter { citations, words };
    let mut out = format!("# {}\n\n", escape(&report.title));
    if let Some(subtitle) = &report.subtitle {
        out += &format!("**{}**\n\n", escape(subtitle));
    }
    let line: Vec<_> = report.authors.iter().chain(&report.date).map(|part| escape(part)).collect();
    if !line.is_empty() {
        out += &format!("{}\n\n", line.join(" · "));
    }
    if let Some(summary) = &report.summary {
        out += &format!("## {}\n\n{}\n\n", words.summary, writer.text(summary));
    }
    for (section, number) in report.sections.iter().zip(headings::numbers(&report.sections)) {
        let marks = "#".repeat(usize::from(number.level) + 1);
        out += &format!("{marks} {}\n\n", escape(&section.heading));
        section.blocks.iter().for_each(|block| out += &writer.block(block));
    }
    out + &writer.sources()
}

/// Escapes a text so that it has no Markdown syntax, and puts it on one line.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    let mut before = None;
    for c in text.chars() {
        let starts_line = before.is_none();
        match c {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '$' | '^' => {
                escaped.push('\\');
                escaped.push(c);
            }
            // At the beginning of a line these begin a heading, a list or a rule.
            '#' | '+' | '-' | '=' | ':' if starts_line => {
                escaped.push('\\');
                escaped.push(c);
            }
            '.' | ')'
                if escaped.len() <= 9 && escaped.bytes().all(|b| b.is_ascii_digit()) && !starts_line =>
            {
                escaped.push('\\');
                escaped.push(c);
            }
            '\n' | '\r' | '\t' => escaped.push(' '),
            c if c.is_control() => escaped.push('\u{FFFD}'),
            c => escaped.push(c),
        }
        before = Some(c);
    }
    escaped
}

/// Puts code between fences that are longer than any fence inside it.
pub(crate) fn fenced(language: &str, code: &str) -> String {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}\n\n", code.trim_end_matches('\n'))
}

fn code_span(code: &str) -> String {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if code.starts_with('`') || code.ends_with('`') { " " } else { "" };
    // A bar ends a table cell, even in code.
    format!("{fence}{pad}{}{pad}{fence}", code.replace('|', "\\|").replace('\n', " "))
}

struct MarkdownWriter<'a> {
    citations: Citations<'a>,
    words: Words,
}

impl MarkdownWriter<'_> {
    fn text(&self, text: &Text) -> String {
        self.inlines(text.inlines(), "  \n")
    }

    fn cell(&self, text: &Text) -> String {
        self.inlines(text.inlines(), " ")
    }

    fn inlines(&self, inlines: &[Inline], line_break: &str) -> String {
        let inline = |inline: &Inline| match inline {
            Inline::Plain(text) => escape(text),
            Inline::Bold(inner) => format!("**{}**", self.inlines(inner, line_break)),
            Inline::Italic(inner) => format!("*{}*", self.inlines(inner, line_break)),
            Inline::Code(text) => code_span(text),
            Inline::Link { text, url } => format!("[{}](<{}>)", self.inlines(text, line_break), url.as_str()),
            Inline::Cite(id) => {
                self.citations.number(id.as_str()).map(|number| format!("[^{number}]")).unwrap_or_default()
            }
            Inline::Break => line_break.to_owned(),
        };
        inlines.iter().map(inline).collect()
    }

    fn block(&self, block: &Block) -> String {
        match block {
            Block::Paragraph { text } => self.text(text) + "\n\n",
            Block::List { ordered, items } => {
                let item = |(at, item): (usize, &Text)| {
                    let mark = if *ordered { format!("{}. ", at + 1) } else { "- ".to_owned() };
                    let indent = format!("  \n{}", " ".repeat(mark.len()));
                    format!("{mark}{}\n", self.inlines(item.inlines(), &indent))
                };
                items.iter().enumerate().map(item).collect::<String>() + "\n"
            }
            Block::Table(table) => self.table(table),
            Block::Chart(chart) => self.chart(chart),
            Block::Quote { text, source } => {
                let source = source
                    .as_ref()
                    .map(|source| format!(">\n> — {}\n", self.cell(source)))
                    .unwrap_or_default();
                format!("> {}\n{source}\n", self.inlines(text.inlines(), "  \n> "))
            }
            Block::Code { language, text } => fenced(language.as_deref().unwrap_or_default(), text),
            Block::Callout { title, text, .. } => {
                let title =
                    title.as_ref().map(|line| format!("> **{}**\n>\n", escape(line))).unwrap_or_default();
                format!("{title}> {}\n\n", self.inlines(text.inlines(), "  \n> "))
            }
        }
    }

    fn table(&self, table: &Table) -> String {
        let rule = table.alignment().into_iter().map(|align| match align {
            Align::Start => "---",
            Align::Center => ":---:",
            Align::End => "---:",
        });
        let header = row(table.header.iter().map(|cell| self.cell(cell)));
        let rows = table.rows.iter().map(|cells| row(cells.iter().map(|cell| self.cell(cell))));
        let rule = row(rule.map(str::to_owned));
        self.caption(table.caption.as_ref()) + &header + &rule + &rows.collect::<String>() + "\n"
    }

    fn chart(&self, chart: &Chart) -> String {
        let unit = chart.unit.as_ref().map(|unit| format!(" ({unit})")).unwrap_or_default();
        let names = chart.series.iter().map(|series| escape(&format!("{}{unit}", series.name)));
        let corner = escape(chart.x_title.as_deref().unwrap_or_default());
        let header = row(std::iter::once(corner).chain(names));
        let rule =
            row(std::iter::once("---".to_owned()).chain(chart.series.iter().map(|_| "---:".to_owned())));
        let rows = chart.labels.iter().enumerate().map(|(at, label)| {
            let values = chart.series.iter().map(|series| series.values.get(at).copied().flatten());
            let values = values.map(|value| value.map(|value| value.to_string()).unwrap_or_default());
            row(std::iter::once(escape(label)).chain(values))
        });
        self.caption(chart.caption.as_ref()) + &header + &rule + &rows.collect::<String>() + "\n"
    }

    fn caption(&self, caption: Option<&Text>) -> String {
        caption.map(|caption| format!("*{}*\n\n", self.cell(caption).trim())).unwrap_or_default()
    }

    fn sources(&self) -> String {
        if self.citations.is_empty() {
            return String::new();
        }
        let source = |(number, source): (usize, &sequent_documents::Source)| {
            let accessed = source.accessed.as_ref();
            let accessed =
                accessed.map(|day| format!(" ({} {day})", self.words.accessed)).unwrap_or_default();
            let quote =
                source.quote.as_ref().map(|quote| format!(" *{}*", escape(quote.trim()))).unwrap_or_default();
            format!("[^{number}]: {}. <{}>{accessed}{quote}\n", escape(&source.title), source.url.as_str())
        };
        format!("## {}\n\n{}", self.words.sources, self.citations.sources().map(source).collect::<String>())
    }
}

fn row(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}
