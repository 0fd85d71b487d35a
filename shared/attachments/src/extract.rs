//! Extraction: the content of a file in the form in which models are shown it.
//!
//! The readers of the formats have limits of their own. None of them is trusted to keep to them: see
//! [`Extractor`](crate::Extractor).

use bytes::Bytes;
use encoding_rs::{UTF_8, WINDOWS_1252};
use sequent_model::{FileBytes, FileType};

use crate::{
    docx,
    kind::FileKind,
    pdf::{self, PdfText},
    picture,
};

/// Bytes of the text of one file that a model is shown at most.
pub(crate) const MAX_TEXT: usize = 200_000;
/// Bytes of a text file that are decoded. UTF-16 has two for a letter, after a mark of two.
const MAX_SOURCE: usize = 2 * MAX_TEXT + 4;

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extracted {
    /// An image in a size and a form that every provider takes.
    Image(FileBytes),
    Pdf(PdfText),
    Text(FileText),
}

/// The text of a file, at most [`MAX_TEXT`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FileText {
    pub(crate) text: String,
    /// The part of the file that is not in the text, in a sentence for the model. Empty if nothing is missing.
    pub(crate) missing: String,
}

impl FileText {
    /// Cuts a text to its limit.
    pub(crate) fn cut(mut text: String, most: usize) -> Self {
        let all = text.len();
        text.truncate(text.floor_char_boundary(most));
        let missing = match text.len() {
            read if read < all => format!("Only the first {read} bytes of its text were read."),
            _ => String::new(),
        };
        Self { text, missing }
    }
}

/// Reads a file of this kind. Returns `None` if it is damaged, encrypted or too large.
pub(crate) fn extract(kind: FileKind, bytes: Bytes) -> Option<Extracted> {
    let text = match kind {
        FileKind::Shown(FileType::Pdf) => return pdf::read(&bytes, MAX_TEXT).map(Extracted::Pdf),
        FileKind::Shown(image) => return picture::fit(image, &bytes).map(Extracted::Image),
        FileKind::Docx => docx::text(bytes, MAX_TEXT)?,
        FileKind::Html => FileText::cut(sequent_tool::text_of_html(&decoded(&bytes)), MAX_TEXT),
        FileKind::Text => FileText::cut(decoded(&bytes[..bytes.len().min(MAX_SOURCE)]), MAX_TEXT),
    };
    Some(Extracted::Text(text))
}

/// Decodes UTF-8, UTF-16 with a byte order mark, and otherwise Windows-1252, in which Excel writes CSV in Western Europe.
fn decoded(bytes: &[u8]) -> String {
    let is_utf8 = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        // The last character may be cut.
        Err(error) => error.error_len().is_none(),
    };
    let encoding = if is_utf8 { UTF_8 } else { WINDOWS_1252 };
    encoding.decode(bytes).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> FileText {
        match extract(FileKind::Text, Bytes::copy_from_slice(bytes)) {
            Some(Extracted::Text(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_text_is_decoded_as_it_was_written() {
        let utf16: Vec<u8> = "\u{feff}gr\u{fc}n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in ["gr\u{fc}n".as_bytes(), b"\xef\xbb\xbfgr\xc3\xbcn", b"gr\xfcn", &utf16] {
            assert_eq!(read(bytes), FileText { text: "gr\u{fc}n".into(), missing: String::new() });
        }
    }

    #[test]
    fn a_text_that_is_not_read_whole_says_so() {
        assert_eq!(read("x".repeat(MAX_TEXT).as_bytes()).missing, "");
        let utf16: Vec<u8> =
            std::iter::once(0xfeff).chain(vec![0x78; MAX_TEXT + 1]).flat_map(u16::to_le_bytes).collect();
        for bytes in ["x".repeat(MAX_TEXT + 1).as_bytes(), "\u{6f6e}".repeat(MAX_TEXT).as_bytes(), &utf16] {
            let cut = read(bytes);
            assert!((MAX_TEXT - 2..=MAX_TEXT).contains(&cut.text.len()), "{}", cut.text.len());
            assert!(cut.missing.starts_with("Only the first"), "{}", cut.missing);
        }
    }
}
