//! A report as one page.

use std::iter::Peekable;

use maud::{Markup, html};
use sequent_documents::{Report, Section};

use super::blocks::HtmlWriter;
use super::{HtmlPage, Plain};
use crate::Error;
use crate::chart::Look;
use crate::citations::Citations;
use crate::headings::{self, HeadingNumber};

const STYLE: &str = include_str!("report.css");

pub(crate) fn report(report: &Report) -> Result<String, Error> {
    let mut writer = HtmlWriter::new(report.language.as_deref(), Citations::of_report(report), Look::LIGHT);
    let numbers = headings::numbers(&report.sections);
    let summary = report.summary.as_ref().map(|summary| writer.paragraph(summary));
    let mut sections = Vec::new();
    for (section, number) in report.sections.iter().zip(&numbers) {
        sections.push((heading(&writer, section, number), writer.blocks(&section.blocks)?));
    }
    let body = html! {
        main {
            (header(&writer, report))
            @if let Some(summary) = summary {
                section { h2 { (writer.words.summary) } (summary) }
            }
            @if report.sections.len() >= 3 {
                nav.sans {
                    h2 { (writer.words.contents) }
                    (contents(&writer, &mut report.sections.iter().zip(&numbers).peekable(), 1))
                }
            }
            @for (heading, blocks) in &sections {
                (heading) "\n" (blocks)
            }
            @if !writer.citations.is_empty() {
                h2 #sources { (writer.words.sources) }
                (writer.sources())
            }
        }
    };
    let page =
        HtmlPage { title: &report.title, writing: writer.writing, style: STYLE, class: None, script: None };
    Ok(page.render(&body))
}

fn header(writer: &HtmlWriter<'_>, report: &Report) -> Markup {
    let title = writer.language(&report.title);
    let mut credits: Vec<Markup> = report.authors.iter().map(|author| writer.line(author)).collect();
    if let Some(date) = &report.date {
        let own = writer.language(date);
        credits.push(html! { time lang=[own.lang] dir=[own.dir] { (Plain(date)) } });
    }
    html! {
        header {
            h1 lang=[title.lang] dir=[title.dir] { (Plain(&report.title)) }
            @if let Some(subtitle) = &report.subtitle {
                @let own = writer.language(subtitle);
                p.subtitle.sans lang=[own.lang] dir=[own.dir] { (Plain(subtitle)) }
            }
            @if !credits.is_empty() {
                p.sans {
                    @for (at, credit) in credits.iter().enumerate() {
                        @if at > 0 { " · " }
                        (credit)
                    }
                }
            }
        }
    }
}

fn heading(writer: &HtmlWriter<'_>, section: &Section, number: &HeadingNumber) -> Markup {
    let id = anchor(number);
    let inner = html! { span.number { (number.text) } (writer.line(&section.heading)) };
    match number.level {
        1 => html! { h2 id=(id) { (inner) } },
        2 => html! { h3 id=(id) { (inner) } },
        _ => html! { h4 id=(id) { (inner) } },
    }
}

/// The table of contents from the next heading on, as far as the headings are at `level` or below it.
fn contents<'a>(
    writer: &HtmlWriter<'_>,
    headings: &mut Peekable<impl Iterator<Item = (&'a Section, &'a HeadingNumber)>>,
    level: u8,
) -> Markup {
    html! {
        ol {
            @while let Some((section, number)) = headings.next_if(|(_, number)| number.level == level) {
                li {
                    a href={ "#" (anchor(number)) } {
                        span.number { (number.text) }
                        (writer.line(&section.heading))
                    }
                    @if headings.peek().is_some_and(|(_, next)| next.level > level) {
                        (contents(writer, headings, level + 1))
                    }
                }
            }
        }
    }
}

fn anchor(number: &HeadingNumber) -> String {
    format!("section-{}", number.position)
}
