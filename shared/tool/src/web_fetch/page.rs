//! Converts the body of a page to the text that the model reads.

use encoding_rs::{Encoding, UTF_8};
use url::Url;

use super::html;
use crate::Error;

/// The `Accept` header: the readable media types.
pub(super) const ACCEPT: &str =
    "text/html, application/xhtml+xml, text/plain;q=0.9, application/json;q=0.9, text/*;q=0.8";

/// A media type that can be read as text.
#[derive(Debug)]
pub(super) struct Media {
    is_html: bool,
    charset: Option<&'static Encoding>,
}

impl Media {
    /// Parses the value of the `Content-Type` header.
    pub(super) fn parse(header: Option<&str>) -> Result<Self, Error> {
        let header =
            header.ok_or_else(|| Error::Refused("The server did not send a content type.".into()))?;
        let mut parts = header.split(';');
        let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_html = matches!(kind.as_str(), "text/html" | "application/xhtml+xml");
        let is_text = kind.starts_with("text/")
            || matches!(kind.as_str(), "application/json" | "application/xml")
            || (kind.starts_with("application/") && (kind.ends_with("+json") || kind.ends_with("+xml")));
        if !is_html && !is_text {
            return Err(Error::Refused(format!("The content type `{kind}` cannot be read as text.")));
        }
        let charset = parts.find_map(|part| {
            let (name, label) = part.split_once('=')?;
            let label = label.trim().trim_matches('"');
            if name.trim().eq_ignore_ascii_case("charset") {
                Encoding::for_label(label.as_bytes())
            } else {
                None
            }
        });
        Ok(Self { is_html, charset })
    }
}

/// The text of a page, below a header with its address and title, and a note if the page was cut.
pub(super) fn render(url: &Url, media: &Media, body: &[u8], is_whole: bool) -> String {
    let declared = media.charset.or_else(|| if media.is_html { declared_in_html(body) } else { None });
    // A byte order mark overrides both. Invalid bytes become U+FFFD, also a character that the limit cut.
    let (text, _, _) = declared.unwrap_or(UTF_8).decode(body);
    let (title, text) = if media.is_html {
        let page = html::read(&text, url);
        (page.title, page.text)
    } else {
        (String::new(), text.into_owned())
    };
    let mut result = format!("Address: {url}\n");
    if !title.is_empty() {
        result += &format!("Title: {title}\n");
    }
    if !is_whole {
        result += &format!("Note: the page is longer; only its first {} bytes were read.\n", body.len());
    }
    result.push('\n');
    result += if text.trim().is_empty() { "The page has no readable text." } else { &text };
    result
}

/// The encoding in a `<meta charset=..>` or `<meta .. content="..; charset=..">`, which must be within the
/// first 1024 bytes (HTML, section 4.2.5.4).
fn declared_in_html(body: &[u8]) -> Option<&'static Encoding> {
    let start = String::from_utf8_lossy(&body[..body.len().min(1024)]).to_ascii_lowercase();
    let meta = &start[start.find("<meta")?..];
    let (_, rest) = meta.split_once("charset=")?;
    let rest = rest.trim_start_matches(['"', '\'']);
    let label = rest.split(['"', '\'', ' ', ';', '/', '>']).next()?;
    // A document in UTF-16 cannot contain this label in ASCII, so the label must be wrong.
    Encoding::for_label(label.as_bytes()).map(Encoding::output_encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(content_type: &str, body: &[u8]) -> String {
        let url = Url::parse("https://a.test/x").unwrap();
        render(&url, &Media::parse(Some(content_type)).unwrap(), body, true)
    }

    #[test]
    fn text_types_are_readable_and_others_are_refused() {
        for kind in [
            "text/html",
            "TEXT/Plain; x=y",
            "text/csv",
            "application/json",
            "application/ld+json",
            "application/rss+xml",
        ] {
            assert!(Media::parse(Some(kind)).is_ok(), "{kind}");
        }
        for kind in ["image/png", "application/pdf", "application/octet-stream", "image/svg+xml", "", "html"]
        {
            assert!(matches!(Media::parse(Some(kind)), Err(Error::Refused(_))), "{kind}");
        }
        assert!(Media::parse(None).is_err());
    }

    #[test]
    fn characters_are_decoded_as_declared() {
        assert!(page("text/plain", "grün".as_bytes()).ends_with("grün"));
        assert!(page("text/plain; charset=\"ISO-8859-1\"", b"gr\xfcn").ends_with("grün"));
        assert!(page("text/html", b"<meta charset='shift_jis'><p>\x93\xfa\x96\x7b").ends_with("日本"));
        let content = b"<meta http-equiv=Content-Type content=\"text/html; charset=windows-1252\">\x80 5";
        assert!(page("text/html", content).ends_with("€ 5"));
        assert!(
            page("text/plain; charset=latin1", b"\xef\xbb\xbfgr\xc3\xbcn").ends_with("\n\ngrün"),
            "byte order mark"
        );
        assert!(page("text/plain", b"gr\xfcn").ends_with("gr\u{fffd}n"));
    }

    #[test]
    fn the_text_of_a_page_starts_with_its_address() {
        let text = page("text/html", b"<title>A\n page</title><p>Hello");
        assert_eq!(text, "Address: https://a.test/x\nTitle: A page\n\nHello");
        assert_eq!(page("application/json", b"{\"a\": 1}"), "Address: https://a.test/x\n\n{\"a\": 1}");
        assert!(page("text/html", b"<script>app()</script>").ends_with("\n\nThe page has no readable text."));
        let url = Url::parse("https://a.test/").unwrap();
        let cut = render(&url, &Media::parse(Some("text/plain")).unwrap(), b"abc", false);
        assert!(cut.contains("only its first 3 bytes"), "{cut}");
    }
}
