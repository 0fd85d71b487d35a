//! The pages and the text of a PDF.
//!
//! A small file can unpack to any size. So what is unpacked is bounded: of objects when the file is loaded, of each page when
//! its text is read. Objects can still take sixty times the bytes that they are written with, which the child's own limit
//! bounds.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use lopdf::{Document, LoadOptions, Object, ObjectId};

use crate::extract::FileText;

/// Bytes that all streams of objects may unpack to: those of documents with some thousand pages.
const MAX_OBJECTS: usize = 16 << 20;
/// Bytes that a single stream of objects or references may unpack to.
const MAX_STREAM: usize = 4 << 20;
/// Bytes that the content or a font of a page may unpack to.
const MAX_PAGE: usize = 8 << 20;
/// Time for the text of all pages.
const TIME: Duration = Duration::from_secs(5);

/// A PDF that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PdfText {
    pub(crate) pages: usize,
    /// Empty if the pages are images.
    pub(crate) text: FileText,
}

thread_local! {
    /// The rest of [`MAX_OBJECTS`] of the file that this thread is loading. A filter has no other place for it.
    static ROOM: Cell<usize> = const { Cell::new(0) };
    /// Objects of the file were left out.
    static LEFT_OUT: Cell<bool> = const { Cell::new(false) };
}

/// Reads a PDF, at most `most` bytes of its text. Returns `None` if it is damaged, encrypted or too large.
pub(crate) fn read(bytes: &[u8], most: usize) -> Option<PdfText> {
    // The filter of streams does not apply to an encrypted file, and no provider reads one.
    if memchr::memmem::find(bytes, b"/Encrypt").is_some() {
        return None;
    }
    ROOM.set(MAX_OBJECTS);
    LEFT_OUT.set(false);
    let options = LoadOptions {
        filter: Some(within_room),
        max_decompressed_size: Some(MAX_STREAM),
        ..LoadOptions::default()
    };
    let document = Document::load_mem_with_options(bytes, options).ok()?;
    let pages = document.get_pages();
    let deadline = Instant::now() + TIME;
    let mut text = String::new();
    let mut last = 0;
    for page in pages.keys() {
        if text.len() >= most || Instant::now() > deadline {
            break;
        }
        last = *page;
        match document.extract_text_with_limit(&[last], MAX_PAGE) {
            Ok(of_page) if of_page.trim().is_empty() => {}
            Ok(of_page) => text.push_str(&format!("[page {last}]\n{}\n", of_page.trim())),
            Err(_) => text.push_str(&format!("[page {last}: its text could not be read]\n")),
        }
    }
    let is_cut = text.len() > most || pages.keys().next_back().is_some_and(|end| *end > last);
    let cut = is_cut.then(|| format!("It was read up to page {last} of {}.", pages.len()));
    let left_out = LEFT_OUT.get().then(|| "Parts of it are too large and were left out.".to_owned());
    text.truncate(text.floor_char_boundary(most));
    let missing = cut.into_iter().chain(left_out).collect::<Vec<_>>().join(" ");
    (!pages.is_empty()).then_some(PdfText { pages: pages.len(), text: FileText { text, missing } })
}

/// Leaves out images, which have no text, and streams of objects that have no room.
fn within_room(id: ObjectId, object: &mut Object) -> Option<(ObjectId, Object)> {
    if let Ok(stream) = object.as_stream() {
        if stream.dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|kind| kind == b"Image") {
            return None;
        }
        if stream.dict.has_type(b"ObjStm") {
            let room = ROOM.get();
            let Ok(unpacked) = stream.decompressed_content_with_limit(room.min(MAX_STREAM)) else {
                LEFT_OUT.set(true);
                return None;
            };
            ROOM.set(room - unpacked.len());
        }
    }
    Some((id, object.clone()))
}

#[cfg(test)]
pub(crate) mod tests {
    use lopdf::{
        Stream,
        content::{Content, Operation},
        dictionary,
    };
    use proptest::prelude::*;

    use super::*;

    /// A PDF with one page for each text.
    pub(crate) fn pdf(texts: &[&str]) -> Vec<u8> {
        let contents = texts.iter().map(|text| {
            let operations = vec![
                Operation::new("BT", vec![]),
                Operation::new("Tf", vec!["F1".into(), 12.into()]),
                Operation::new("Td", vec![50.into(), 700.into()]),
                Operation::new("Tj", vec![Object::string_literal(*text)]),
                Operation::new("ET", vec![]),
            ];
            Content { operations }.encode().unwrap()
        });
        with_contents(contents.collect())
    }

    fn with_contents(contents: Vec<Vec<u8>>) -> Vec<u8> {
        let mut document = Document::with_version("1.5");
        let pages = document.new_object_id();
        let font = document
            .add_object(dictionary! {"Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Courier"});
        let resources = document.add_object(dictionary! {"Font" => dictionary! {"F1" => font}});
        let kids: Vec<Object> = contents
            .into_iter()
            .map(|content| {
                let mut stream = Stream::new(dictionary! {}, content);
                stream.compress().unwrap();
                let content = document.add_object(stream);
                let page = dictionary! {"Type" => "Page", "Parent" => pages, "Contents" => content};
                document.add_object(page).into()
            })
            .collect();
        let tree = dictionary! {"Type" => "Pages", "Count" => i64::try_from(kids.len()).unwrap(), "Kids" => kids,
        "Resources" => resources, "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()]};
        document.objects.insert(pages, Object::Dictionary(tree));
        let catalog = document.add_object(dictionary! {"Type" => "Catalog", "Pages" => pages});
        document.trailer.set("Root", catalog);
        let mut bytes = Vec::new();
        document.save_to(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_text_is_read_page_by_page_up_to_a_limit() {
        let bytes = pdf(&["The tides of Brest.", "Those of Saint-Malo."]);
        let read_all = read(&bytes, 10_000).unwrap();
        assert_eq!(read_all.pages, 2);
        assert_eq!(read_all.text.text, "[page 1]\nThe tides of Brest.\n[page 2]\nThose of Saint-Malo.\n");
        assert_eq!(read_all.text.missing, "");
        let cut = read(&bytes, 15).unwrap().text;
        assert_eq!(
            (cut.text.as_str(), cut.missing.as_str()),
            ("[page 1]\nThe ti", "It was read up to page 1 of 2.")
        );
    }

    #[test]
    fn of_a_page_that_unpacks_to_too_much_only_its_number_is_read() {
        let bomb = vec![b' '; MAX_PAGE + 1];
        let hello = b"BT /F1 12 Tf (Hello.) Tj ET".to_vec();
        let bytes = with_contents(vec![bomb, hello]);
        assert!(bytes.len() < 100_000, "{}", bytes.len());
        let text = read(&bytes, 1_000).unwrap().text.text;
        assert_eq!(text, "[page 1: its text could not be read]\n[page 2]\nHello.\n");
    }

    #[test]
    fn streams_of_objects_that_unpack_to_too_much_are_left_out() {
        let objects = format!("9 0 [{}]", "0 ".repeat(MAX_STREAM / 2 - 10));
        ROOM.set(MAX_OBJECTS);
        let mut kept = 0;
        for _ in 0..8 {
            let dict = dictionary! {"Type" => "ObjStm", "N" => 1, "First" => 4};
            let mut stream = Object::Stream(Stream::new(dict, objects.clone().into_bytes()));
            kept += usize::from(within_room((1, 0), &mut stream).is_some());
        }
        assert_eq!(kept, 4);
        assert!(LEFT_OUT.get(), "it is told");
    }

    #[test]
    fn what_is_no_pdf_or_is_encrypted_is_none() {
        for bytes in [&b""[..], b"%PDF-1.7", b"%PDF-1.7\n1 0 obj << /Encrypt 2 0 R >> endobj"] {
            assert_eq!(read(bytes, 100), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_damaged_pdf_is_no_panic(changes in prop::collection::vec((0_usize..4_000, any::<u8>()), 0..12), end in 0_usize..8_000) {
            let mut bytes = pdf(&["The tides of Brest.", "Those of Saint-Malo."]);
            let length = bytes.len();
            for (at, byte) in changes {
                bytes[at % length] = byte;
            }
            bytes.truncate(end);
            let _ = read(&bytes, 1_000);
        }
    }
}
