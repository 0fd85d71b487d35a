//! The text of a Word document (ECMA-376, WordprocessingML).
//!
//! A tokenizer of HTML reads it: the text is in `w:t`, the paragraphs and the cells of tables are elements, and nothing else
//! matters. It builds no tree, so it is linear and cannot overflow a stack.

use bytes::Bytes;
use html5gum::{Token, Tokenizer};
use sequent_artifacts::Bundle;

use crate::extract::FileText;

/// The part of the archive that has the text.
const BODY: &str = "word/document.xml";

/// Reads at most `most` bytes of the text. Returns `None` if the file is no Word document, is damaged, or unpacks to too much.
pub(crate) fn text(bytes: Bytes, most: usize) -> Option<FileText> {
    let body = Bundle::open(bytes).ok()?.read(BODY).ok()??;
    let body = String::from_utf8(body).ok()?;
    let mut text = String::new();
    let mut is_text = false;
    for token in Tokenizer::new(body.as_str()) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => match tag.name.as_slice() {
                b"w:t" => is_text = !tag.self_closing,
                b"w:tab" => text.push('\t'),
                b"w:br" | b"w:cr" => text.push('\n'),
                _ => {}
            },
            Token::EndTag(tag) => match tag.name.as_slice() {
                b"w:t" => is_text = false,
                b"w:p" | b"w:tr" => end_line(&mut text),
                b"w:tc" => end_cell(&mut text),
                _ => {}
            },
            Token::String(words) if is_text => text.push_str(&String::from_utf8_lossy(&words)),
            _ => {}
        }
        if text.len() > most {
            break;
        }
    }
    Some(FileText::cut(text, most))
}

fn end_line(text: &mut String) {
    if !text.ends_with("\n\n") {
        text.push('\n');
    }
}

/// Ends a cell, whose last paragraph has ended a line.
fn end_cell(text: &mut String) {
    text.truncate(text.trim_end_matches('\n').len());
    text.push_str(" | ");
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{Cursor, Write as _};

    use proptest::prelude::*;
    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    /// An archive with this body.
    pub(crate) fn docx(body: &str) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in [("[Content_Types].xml", "<Types/>"), (BODY, body)] {
            archive.start_file(name, SimpleFileOptions::default()).unwrap();
            archive.write_all(content.as_bytes()).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    const DOCUMENT: &str = r#"<?xml version="1.0"?><w:document xmlns:w="x"><w:body>
        <w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Tides</w:t></w:r></w:p>
        <w:p><w:r><w:t xml:space="preserve">High &amp; </w:t></w:r><w:r><w:t>low.</w:t></w:r><w:r><w:instrText>PAGE</w:instrText></w:r></w:p>
        <w:tbl><w:tr><w:tc><w:p><w:r><w:t>Brest</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>6 m</w:t></w:r></w:p></w:tc></w:tr></w:tbl>
    </w:body></w:document>"#;

    #[test]
    fn paragraphs_are_lines_and_cells_are_separated() {
        let FileText { text, missing } = text(docx(DOCUMENT).into(), 1_000).unwrap();
        assert_eq!(missing, "");
        assert_eq!(text, "Tides\nHigh & low.\nBrest | 6 m | \n");
    }

    #[test]
    fn a_long_text_says_that_it_is_cut() {
        let cut = text(docx(DOCUMENT).into(), 9).unwrap();
        assert_eq!(
            (cut.text.as_str(), cut.missing.as_str()),
            ("Tides\nHig", "Only the first 9 bytes of its text were read.")
        );
    }

    #[test]
    fn a_bomb_and_another_archive_are_none() {
        let bomb = format!("<w:t>{}</w:t>", " ".repeat(20 << 20));
        assert_eq!(text(docx(&bomb).into(), 1_000), None);
        assert_eq!(text(b"PK\x03\x04 no archive".to_vec().into(), 1_000), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_damaged_document_is_no_panic(at in 0_usize..4_000, byte: u8, end in 0_usize..4_000) {
            let mut bytes = docx(DOCUMENT);
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(end);
            let _ = text(bytes.into(), 1_000);
        }
    }
}
