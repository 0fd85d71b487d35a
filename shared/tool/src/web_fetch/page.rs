//! From a body to what the model reads.

use encoding_rs::{Encoding, UTF_8};
use url::Url;

use super::html;
use crate::Error;

/// What we can read, best first.
pub(super) const ACCEPT: &str =
    "text/html, application/xhtml+xml, text/plain;q=0.9, application/json;q=0.9, text/*;q=0.8";

/// A content type that can be read.
#[derive(Debug)]
pub(super) struct Media {
    html: bool,
    charset: Option<&'static Encoding>,
}

impl Media {
    /// From the header's value.
    pub(super) fn parse(header: Option<&str>) -> Result<Self, Error> {
        let header = header
            .ok_or_else(|| Error::Refused("The server does not say what kind of content this is.".into()))?;
        let mut parts = header.split(';');
        let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        let html = matches!(kind.as_str(), "text/html" | "application/xhtml+xml");
        let text = kind.starts_with("text/")
            || matches!(kind.as_str(), "application/json" | "application/xml")
            || (kind.starts_with("application/") && (kind.ends_with("+json") || kind.ends_with("+xml")));
        if !html && !text {
            return Err(Error::Refused(format!("Content of the kind `{kind}` cannot be read as text.")));
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
        Ok(Self { html, charset })
    }
}

/// The text of a page, under a head that says where it is from and what is missing.
pub(super) fn render(url: &Url, media: &Media, body: &[u8], whole: bool) -> String {
    let declared = media.charset.or_else(|| if media.html { declared_in_html(body) } else { None });
    // A byte order mark wins over both. What cannot be decoded becomes U+FFFD, also a character that the limit cut.
    let (text, _, _) = declared.unwrap_or(UTF_8).decode(body);
    let (title, text) = if media.html {
        let page = html::read(&text, url);
        (page.title, page.text)
    } else {
        (String::new(), text.into_owned())
    };
    let mut result = format!("Address: {url}\n");
    if !title.is_empty() {
        result += &format!("Title: {title}\n");
    }
    if !whole {
        result += &format!("Note: the page is longer; only its first {} bytes were read.\n", body.len());
    }
    result.push('\n');
    result += if text.trim().is_empty() { "The page has no readable text." } else { &text };
    result
}

/// The label in a `<meta charset=..>` or `<meta .. content="..; charset=..">`, which must stand within the first 1024
/// bytes (HTML, section 4.2.5.4).
fn declared_in_html(body: &[u8]) -> Option<&'static Encoding> {
    let start = String::from_utf8_lossy(&body[..body.len().min(1024)]).to_ascii_lowercase();
    let meta = &start[start.find("<meta")?..];
    let (_, rest) = meta.split_once("charset=")?;
    let rest = rest.trim_start_matches(['"', '\'']);
    let label = rest.split(['"', '\'', ' ', ';', '/', '>']).next()?;
    // A document in UTF-16 could not have said so in ASCII.
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
    fn kinds_of_content() {
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
    fn a_page_begins_with_its_address() {
        let text = page("text/html", b"<title>A\n page</title><p>Hello");
        assert_eq!(text, "Address: https://a.test/x\nTitle: A page\n\nHello");
        assert_eq!(page("application/json", b"{\"a\": 1}"), "Address: https://a.test/x\n\n{\"a\": 1}");
        assert!(page("text/html", b"<script>app()</script>").ends_with("\n\nThe page has no readable text."));
        let url = Url::parse("https://a.test/").unwrap();
        let cut = render(&url, &Media::parse(Some("text/plain")).unwrap(), b"abc", false);
        assert!(cut.contains("only its first 3 bytes"), "{cut}");
    }
}
