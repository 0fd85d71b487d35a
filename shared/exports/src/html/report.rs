//! A report as one page.

use sequent_documents::{Report, Section};

use super::Page;
use super::blocks::Writer;
use crate::Error;
use crate::chart::Look;
use crate::citations::Citations;
use crate::headings::{self, Place};

const STYLE: &str = include_str!("report.css");

pub(crate) fn report(report: &Report) -> Result<String, Error> {
    let mut writer = Writer::new(report.language.as_deref(), Citations::of_report(report), Look::LIGHT);
    let mut body = String::from("<main>\n");
    body += &header(&writer, report);
    if let Some(summary) = &report.summary {
        let text = writer.text("p", summary);
        body += &format!("<section>\n<h2>{}</h2>\n{text}\n</section>\n", writer.words.summary);
    }
    let places = headings::places(&report.sections);
    body += &contents(&writer, &report.sections, &places);
    for (at, (section, place)) in report.sections.iter().zip(&places).enumerate() {
        let heading = writer.line("span", &section.heading);
        let tag = format!("h{}", place.level + 1);
        let number = format!("<span class=\"number\">{}</span>", place.number);
        body += &format!("<{tag} id=\"section-{}\">{number}{heading}</{tag}>\n", at + 1);
        body += &writer.blocks(&section.blocks)?;
    }
    if !writer.citations.is_empty() {
        body += &format!("<h2 id=\"sources\">{}</h2>\n{}", writer.words.sources, writer.sources());
    }
    body += "</main>\n";
    let page =
        Page { title: &report.title, writing: writer.writing, style: STYLE, body: &body, script: None };
    Ok(page.render())
}

fn header(writer: &Writer<'_>, report: &Report) -> String {
    let mut header = format!("<header>\n{}\n", writer.line("h1", &report.title));
    if let Some(subtitle) = &report.subtitle {
        header += &format!("{}\n", writer.line("p class=\"subtitle sans\"", subtitle));
    }
    let authors: Vec<_> = report.authors.iter().map(|author| writer.line("span", author)).collect();
    let date = report.date.as_ref().map(|date| writer.line("time", date));
    let line: Vec<_> = authors.into_iter().chain(date).collect();
    if !line.is_empty() {
        header += &format!("<p class=\"sans\">{}</p>\n", line.join(" · "));
    }
    header + "</header>\n"
}

fn contents(writer: &Writer<'_>, sections: &[Section], places: &[Place]) -> String {
    if sections.len() < 3 {
        return String::new();
    }
    let mut list = String::new();
    let mut depth = 0;
    for (at, (section, Place { level, number })) in sections.iter().zip(places).enumerate() {
        while depth < *level {
            list += "<ol>\n";
            depth += 1;
        }
        while depth > *level {
            list += "</ol>\n";
            depth -= 1;
        }
        let heading = writer.line("span", &section.heading);
        list += &format!(
            "<li><a href=\"#section-{}\"><span class=\"number\">{number}</span>{heading}</a></li>\n",
            at + 1
        );
    }
    list += &"</ol>\n".repeat(depth.into());
    format!("<nav class=\"sans\">\n<h2>{}</h2>\n{list}</nav>\n", writer.words.contents)
}
