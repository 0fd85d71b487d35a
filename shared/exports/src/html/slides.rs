//! Slides as one page. Arrow keys turn them, printing puts each on a sheet, and without the script they form
//! a column.

use maud::{Markup, html};
use sequent_documents::{Layout, Slide, Slides, Theme};

use super::blocks::HtmlWriter;
use super::{HtmlPage, PageScript, Plain};
use crate::Error;
use crate::chart::Look;
use crate::citations::Citations;

const STYLE: &str = include_str!("slides.css");
/// A test compares the digest with the source.
const SCRIPT: PageScript = PageScript {
    source: include_str!("slides.js"),
    digest: "sha256-H77wEQcK+exoHOwxWTc3gXNcoZhfF4RXrp+t1uI6Y6Y=",
};

pub(crate) fn slides(slides: &Slides) -> Result<String, Error> {
    let (look, theme) = match slides.theme {
        Theme::Light => (Look::LIGHT, "light"),
        Theme::Dark => (Look::DARK, "dark"),
    };
    let mut writer = HtmlWriter::new(slides.language.as_deref(), Citations::of_slides(slides), look);
    let mut sections = vec![section(1, "title", &title(&writer, slides))];
    for slide in &slides.slides {
        let content = content(&mut writer, slide)?;
        sections.push(section(sections.len() + 1, class(slide.layout), &content));
    }
    if !writer.citations.is_empty() {
        let sources = html! { h2 { (writer.words.sources) } (writer.sources()) };
        sections.push(section(sections.len() + 1, "content", &sources));
    }
    let page = HtmlPage {
        title: &slides.title,
        writing: writer.writing,
        style: STYLE,
        class: Some(theme),
        script: Some(SCRIPT),
    };
    Ok(page.render(&html! { @for section in sections { (section) "\n" } }))
}

fn section(number: usize, class: &str, content: &Markup) -> Markup {
    html! { section class={ "slide " (class) } id={ "slide-" (number) } { (content) } }
}

fn title(writer: &HtmlWriter<'_>, slides: &Slides) -> Markup {
    let own = writer.language(&slides.title);
    html! {
        h1 lang=[own.lang] dir=[own.dir] { (Plain(&slides.title)) }
        @if let Some(subtitle) = &slides.subtitle {
            @let own = writer.language(subtitle);
            p lang=[own.lang] dir=[own.dir] { (Plain(subtitle)) }
        }
    }
}

const fn class(layout: Layout) -> &'static str {
    match layout {
        Layout::Content => "content",
        Layout::TwoColumns => "two-columns",
        Layout::Section => "section",
    }
}

fn content(writer: &mut HtmlWriter<'_>, slide: &Slide) -> Result<Markup, Error> {
    let own = writer.language(&slide.title);
    let blocks = blocks(writer, slide)?;
    Ok(html! {
        h2 lang=[own.lang] dir=[own.dir] { (Plain(&slide.title)) }
        (blocks)
        @if let Some(notes) = &slide.notes {
            details { summary { (writer.words.notes) } (writer.paragraph(notes)) }
        }
    })
}

fn blocks(writer: &mut HtmlWriter<'_>, slide: &Slide) -> Result<Markup, Error> {
    if slide.layout != Layout::TwoColumns {
        return writer.blocks(&slide.blocks);
    }
    let (left, right) = slide.blocks.split_at(slide.blocks.len().div_ceil(2));
    let left = writer.blocks(left)?;
    let right = writer.blocks(right)?;
    Ok(html! { div.columns { div { (left) } div { (right) } } })
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_policy_allows_our_script_and_no_other() {
        let digest = BASE64_STANDARD.encode(Sha256::digest(SCRIPT.source));
        assert_eq!(SCRIPT.digest, format!("sha256-{digest}"));
    }
}
