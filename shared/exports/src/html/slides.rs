//! Slides as one page: arrow keys turn them, printing puts each on a sheet, and without script they stand below each other.

use sequent_documents::{Layout, Slide, Slides, Theme};

use super::Page;
use super::blocks::Writer;
use crate::Error;
use crate::chart::Look;
use crate::citations::Citations;

const STYLE: &str = include_str!("slides.css");
const SCRIPT: &str = include_str!("slides.js");
/// Of [`SCRIPT`]; a test computes it.
const SCRIPT_DIGEST: &str = "sha256-H77wEQcK+exoHOwxWTc3gXNcoZhfF4RXrp+t1uI6Y6Y=";

pub(crate) fn slides(slides: &Slides) -> Result<String, Error> {
    let (look, theme) = match slides.theme {
        Theme::Light => (Look::LIGHT, "light"),
        Theme::Dark => (Look::DARK, "dark"),
    };
    let mut writer = Writer::new(slides.language.as_deref(), Citations::of_slides(slides), look);
    let mut body = String::new();
    let subtitle = slides.subtitle.as_ref().map(|line| writer.line("p", line)).unwrap_or_default();
    body += &section(0, "title", &(writer.line("h1", &slides.title) + &subtitle));
    for (at, slide) in slides.slides.iter().enumerate() {
        body += &one(&mut writer, at + 1, slide)?;
    }
    if !writer.citations.is_empty() {
        let inner = format!("<h2>{}</h2>\n{}", writer.words.sources, writer.sources());
        body += &section(slides.slides.len() + 1, "content", &inner);
    }
    let page = Page {
        title: &slides.title,
        writing: writer.writing,
        style: STYLE,
        body: &body,
        script: Some((SCRIPT, SCRIPT_DIGEST)),
    };
    Ok(page.render().replacen("<body>", &format!("<body class=\"{theme}\">"), 1))
}

fn section(number: usize, class: &str, inner: &str) -> String {
    format!("<section class=\"slide {class}\" id=\"slide-{}\">\n{inner}\n</section>\n", number + 1)
}

fn one(writer: &mut Writer<'_>, number: usize, slide: &Slide) -> Result<String, Error> {
    let mut inner = writer.line("h2", &slide.title) + "\n";
    let class = match slide.layout {
        Layout::Content => "content",
        Layout::TwoColumns => "two-columns",
        Layout::Section => "section",
    };
    if slide.layout == Layout::TwoColumns {
        let (left, right) = slide.blocks.split_at(slide.blocks.len().div_ceil(2));
        let (left, right) = (writer.blocks(left)?, writer.blocks(right)?);
        inner += &format!("<div class=\"columns\"><div>{left}</div><div>{right}</div></div>");
    } else {
        inner += &writer.blocks(&slide.blocks)?;
    }
    if let Some(notes) = &slide.notes {
        let notes = writer.text("p", notes);
        inner += &format!("<details><summary>{}</summary>{notes}</details>", writer.words.notes);
    }
    Ok(section(number, class, &inner))
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_policy_allows_our_script_and_no_other() {
        assert_eq!(SCRIPT_DIGEST, format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(SCRIPT))));
    }
}
