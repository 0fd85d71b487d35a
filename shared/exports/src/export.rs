//! The entry point: a document and a format give a file.

use maud::{DOCTYPE, html};
use sequent_documents::{Document, Website};

use crate::html::Plain;
use crate::{Error, Format, archive, html, markdown, pdf};

/// A file, and what a reader of it misses of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// The bytes of the file.
    pub bytes: Vec<u8>,
    /// Texts for people, such as the names of scripts that no font covers.
    pub warnings: Vec<String>,
}

impl From<Vec<u8>> for Exported {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, warnings: Vec::new() }
    }
}

/// Renders `document` as a file of `format`.
///
/// # Errors
/// [`Error::Unsupported`] if documents of this type do not have the format. Otherwise [`Error::Renderer`] or
/// [`Error::TooLarge`].
pub fn export(document: &Document, format: Format) -> Result<Exported, Error> {
    let bytes = match (document, format) {
        (Document::Report(report), Format::Pdf) => return pdf::report(report),
        (Document::Slides(slides), Format::Pdf) => return pdf::slides(slides),
        (document, Format::Json) => document.to_json(),
        (Document::Report(report), Format::Html) => html::report(report)?.into_bytes(),
        (Document::Report(report), Format::Markdown) => markdown::report(report).into_bytes(),
        (Document::Slides(slides), Format::Html) => html::slides(slides)?.into_bytes(),
        (Document::Website(website), Format::Zip) => {
            let files = website.files.iter().map(|file| (file.path.as_str(), file.content.bytes()));
            let index = index(website);
            archive::zip(files.chain(index.iter().map(|page| ("index.html", page.as_bytes()))))?
        }
        (document, format) => return Err(Error::Unsupported { kind: document.kind(), format }),
    };
    Ok(bytes.into())
}

/// Returns a page that redirects to the entry page, for browsers and servers that open `index.html`. Returns
/// `None` if the website has an `index.html`.
fn index(website: &Website) -> Option<String> {
    // Some file systems ignore case.
    let is_index = |path: &str| path.eq_ignore_ascii_case("index.html");
    if website.files.iter().any(|file| is_index(file.path.as_str())) {
        return None;
    }
    let entry = website.entry.as_str();
    let title = Plain(&website.title);
    let page = html! {
        (DOCTYPE)
        meta charset="utf-8";
        title { (title) }
        meta http-equiv="refresh" content={ "0; url=" (entry) };
        p { a href=(entry) { (title) } }
    };
    Some(page.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_website_opens_at_its_index() {
        let site = |path: &str| {
            let file = json!({"path": path, "media_type": "text/html", "content": "<p>Hi"});
            let site =
                json!({"type": "website", "version": 1, "title": "A & B", "entry": path, "files": [file]});
            let archive = export(&Document::from_value(site).unwrap(), Format::Zip).unwrap().bytes;
            let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive)).unwrap();
            std::io::read_to_string(archive.by_name("index.html").unwrap()).unwrap()
        };
        assert_eq!(site("index.html"), "<p>Hi");
        let page = site("pages/home.html");
        assert!(page.contains("url=pages/home.html") && page.contains("A &amp; B"), "{page}");
    }
}
