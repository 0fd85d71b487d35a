//! The kinds of files that can be attached, by their media type and by their bytes.

use sequent_model::FileType;

/// The media type of Word documents.
const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A type that some models can be shown as it is.
    Shown(FileType),
    Docx,
    Html,
    /// Text: plain, Markdown, CSV, JSON, XML, source code.
    Text,
}

impl FileKind {
    /// Returns the kind that files of this media type have, or `None` if they cannot be attached.
    pub(crate) fn of_media_type(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Some(match essence.as_str() {
            "image/png" => Self::Shown(FileType::Png),
            "image/jpeg" | "image/jpg" => Self::Shown(FileType::Jpeg),
            "image/gif" => Self::Shown(FileType::Gif),
            "image/webp" => Self::Shown(FileType::Webp),
            "application/pdf" => Self::Shown(FileType::Pdf),
            DOCX => Self::Docx,
            "text/html" | "application/xhtml+xml" => Self::Html,
            "application/json"
            | "application/xml"
            | "application/yaml"
            | "application/x-ndjson"
            | "application/javascript"
            | "application/sql"
            | "application/toml" => Self::Text,
            essence if essence.starts_with("text/") => Self::Text,
            essence if is_structured(essence) => Self::Text,
            _ => return None,
        })
    }

    /// Returns the kind that the bytes have, whatever was declared. The declared kind only tells apart what the bytes do not.
    /// Returns `None` for bytes of another kind.
    pub(crate) fn of_bytes(bytes: &[u8], declared: Option<Self>) -> Option<Self> {
        if let Some(file_type) = signature(bytes, declared) {
            return Some(Self::Shown(file_type));
        }
        // The names of the files in an archive are in it as they are.
        if bytes.starts_with(b"PK\x03\x04") && memchr::memmem::find(bytes, b"word/document.xml").is_some() {
            return Some(Self::Docx);
        }
        if !is_text(bytes, declared) {
            return None;
        }
        Some(if declared == Some(Self::Html) { Self::Html } else { Self::Text })
    }

    /// Returns the media type of a file of this kind that was declared as `declared`.
    pub(crate) fn media_type(self, declared: &str) -> String {
        let essence = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match self {
            Self::Shown(file_type) => file_type.media_type().to_owned(),
            _ if Self::of_media_type(&essence) == Some(self) => essence,
            Self::Docx => DOCX.to_owned(),
            Self::Html => "text/html".to_owned(),
            Self::Text => "text/plain".to_owned(),
        }
    }

    /// Returns `true` for images.
    pub(crate) fn is_image(self) -> bool {
        matches!(self, Self::Shown(file_type) if file_type.is_image())
    }
}

/// Returns `true` for types of JSON and XML, such as `application/ld+json`. `image/svg+xml` is none: people attach it as an
/// image, and no model can be shown it.
fn is_structured(essence: &str) -> bool {
    essence.starts_with("application/") && (essence.ends_with("+json") || essence.ends_with("+xml"))
}

/// Recognises a file by its first bytes.
fn signature(bytes: &[u8], declared: Option<FileKind>) -> Option<FileType> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(FileType::Png),
        [0xff, 0xd8, 0xff, ..] => Some(FileType::Jpeg),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(FileType::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(FileType::Webp),
        _ if has_header_of_pdf(bytes, declared) => Some(FileType::Pdf),
        _ => None,
    }
}

/// Returns `true` if the header of a PDF is at the beginning. It may come after other bytes, within the first 1,024 (ISO 32000,
/// annex H, note 13), but a text that mentions it is a text.
fn has_header_of_pdf(bytes: &[u8], declared: Option<FileKind>) -> bool {
    const HEADER: &[u8] = b"%PDF-";
    let is_declared_text = matches!(declared, Some(FileKind::Text | FileKind::Html));
    let beginning = &bytes[..bytes.len().min(1024)];
    bytes.trim_ascii_start().starts_with(HEADER)
        || !is_declared_text && beginning.windows(HEADER.len()).any(|window| window == HEADER)
}

/// Returns `true` for text in UTF-8, for UTF-16 with a byte order mark, and for another encoding of single bytes if the file was
/// declared as text. None has a zero byte or control characters that no text has.
fn is_text(bytes: &[u8], declared: Option<FileKind>) -> bool {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => bytes.len().is_multiple_of(2),
        _ if bytes.contains(&0) => false,
        _ if std::str::from_utf8(bytes).is_ok() => true,
        _ => {
            let is_printed =
                |byte: &u8| *byte >= 0x20 || matches!(*byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
            matches!(declared, Some(FileKind::Text | FileKind::Html)) && bytes.iter().all(is_printed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_decide_and_not_the_declaration() {
        let text = FileKind::of_media_type("text/plain");
        let cases: [(&[u8], Option<FileKind>); 11] = [
            (b"\x89PNG\r\n\x1a\n....", Some(FileKind::Shown(FileType::Png))),
            (b"\xff\xd8\xff\xe0", Some(FileKind::Shown(FileType::Jpeg))),
            (b"GIF89a", Some(FileKind::Shown(FileType::Gif))),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some(FileKind::Shown(FileType::Webp))),
            (b"\n%PDF-1.7", Some(FileKind::Shown(FileType::Pdf))),
            ("gr\u{fc}n".as_bytes(), Some(FileKind::Text)),
            (b"\xff\xfea\0", Some(FileKind::Text)),
            (b"\x7fELF\0", None),
            (b"gr\xfcn", Some(FileKind::Text)),
            (b"gr\xfcn\x01", None),
            (b"A PDF begins with %PDF-1.7.", Some(FileKind::Text)),
        ];
        for (bytes, kind) in cases {
            assert_eq!(FileKind::of_bytes(bytes, text), kind, "{bytes:?}");
        }
        assert_eq!(FileKind::of_bytes(b"gr\xfcn", None), None);
        let pdf = FileKind::Shown(FileType::Pdf);
        assert_eq!(FileKind::of_bytes(b"junk %PDF-1.7", Some(pdf)), Some(pdf));
        assert_eq!(FileKind::of_bytes(b"<p>", FileKind::of_media_type("text/html")), Some(FileKind::Html));
    }

    #[test]
    fn media_types_without_a_reader_are_none() {
        for media_type in ["application/octet-stream", "image/svg+xml", "video/mp4", "application/zip", ""] {
            assert_eq!(FileKind::of_media_type(media_type), None, "{media_type}");
        }
        for media_type in ["text/csv", "text/markdown; charset=utf-8", "application/ld+json", "TEXT/Plain"] {
            assert_eq!(FileKind::of_media_type(media_type), Some(FileKind::Text), "{media_type}");
        }
    }
}
