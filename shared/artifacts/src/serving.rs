//! Safe response headers for untrusted bytes.

/// Media types that no browser executes. All others are served as `application/octet-stream`: HTML, SVG and
/// XML can contain scripts, and an unknown type may be executed one day.
const INERT: [&str; 22] = [
    "application/json",
    "application/pdf",
    "application/zip",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "font/woff",
    "font/woff2",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/csv",
    "text/markdown",
    "text/plain",
    "video/mp4",
    "video/ogg",
    "video/quicktime",
    "video/webm",
];

/// The media type to serve bytes with. Returns their own type only if it is inert.
#[must_use]
pub fn inert(media_type: &str) -> &str {
    let essence = media_type.split(';').next().unwrap_or_default();
    if INERT.binary_search(&essence).is_ok() { media_type } else { "application/octet-stream" }
}

/// `Content-Disposition` under which a browser saves bytes instead of showing them (RFC 6266).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disposition<'a> {
    /// Title of the artifact.
    pub title: &'a str,
    /// Decides the extension of a title that has none.
    pub media_type: &'a str,
}

impl Disposition<'_> {
    /// The header's value. It is plain ASCII for every title.
    #[must_use]
    pub fn attachment(&self) -> String {
        let name = self.name();
        let plain = |c: char| if c.is_ascii_alphanumeric() || " ._-()".contains(c) { c } else { '_' };
        let ascii: String = name.chars().map(plain).collect();
        // RFC 5987: every byte that is not an attr-char is escaped.
        let escaped: String = name
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
        format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{escaped}")
    }

    /// The title with an extension, and without characters that separate the parts of a path.
    fn name(&self) -> String {
        let parts = self.title.split(['/', '\\', ':']).filter(|part| !part.is_empty());
        let name = parts.collect::<Vec<_>>().join("-");
        let name = name.trim_matches(['.', ' ']);
        let has_extension = name.rsplit_once('.').is_some_and(|(stem, extension)| {
            !stem.is_empty()
                && (1..=5).contains(&extension.len())
                && extension.bytes().all(|b| b.is_ascii_alphanumeric())
        });
        match extension(self.media_type).filter(|_| !has_extension) {
            Some(extension) => format!("{name}.{extension}"),
            None => name.to_owned(),
        }
    }
}

fn extension(media_type: &str) -> Option<&'static str> {
    Some(match media_type.split(';').next().unwrap_or_default() {
        "application/json" => "json",
        "application/pdf" => "pdf",
        "application/zip" => "zip",
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/svg+xml" => "svg",
        "text/csv" => "csv",
        "text/html" => "html",
        "text/markdown" => "md",
        "text/plain" => "txt",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_browsers_execute_are_served_as_octets() {
        assert!(INERT.is_sorted());
        for media_type in
            ["text/html", "image/svg+xml", "text/xml", "application/xhtml+xml", "text/javascript", "x/y"]
        {
            assert_eq!(inert(media_type), "application/octet-stream");
        }
        assert_eq!(inert("text/html; charset=utf-8"), "application/octet-stream");
        assert_eq!(inert("text/plain; charset=utf-8"), "text/plain; charset=utf-8");
    }

    #[test]
    fn a_title_cannot_leave_the_header_or_the_folder() {
        let attachment = |title| Disposition { title, media_type: "text/html" }.attachment();
        assert_eq!(attachment("Q3"), "attachment; filename=\"Q3.html\"; filename*=UTF-8''Q3.html");
        assert_eq!(
            attachment("../..\\a\"b; x=y\r\n"),
            "attachment; filename=\"-..-a_b_ x_y__.html\"; filename*=UTF-8''-..-a%22b%3B%20x%3Dy%0D%0A.html"
        );
        assert!(attachment("Übersicht.md").ends_with("filename*=UTF-8''%C3%9Cbersicht.md"));
        assert!(attachment("東京").is_ascii());
    }
}
