//! Crafted files, read by a real child.
//!
//! This binary is the child of its own tests, as a function is: it has a `main`, and lists and runs its tests as `libtest` does.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]
#![expect(clippy::print_stdout, reason = "the list of the tests")]

use std::{
    env,
    io::{Cursor, Write as _},
};

use futures::future::{FutureExt, LocalBoxFuture};
use lopdf::{Document, Object, Stream, dictionary};
use sequent_artifacts::{Artifacts, Description, Origin, testing::bucket};
use sequent_attachments::{Extractor, Files};
use sequent_core::{ArtifactId, TenantId};
use sequent_model::{Abilities, AttachedFile, Message, Part, Role};
use zip::{ZipWriter, write::SimpleFileOptions};

type Test = fn(Extractor) -> LocalBoxFuture<'static, ()>;

const TESTS: [(&str, Test); 7] = [
    ("whole_files_are_read_by_the_child", |child| whole_files(child).boxed_local()),
    ("a_pdf_of_a_million_small_objects_is_a_note", |child| objects(child).boxed_local()),
    ("a_page_that_unpacks_to_millions_of_operands_is_a_note", |child| operands(child).boxed_local()),
    ("a_deep_document_is_read_or_is_a_note", |child| deep(child).boxed_local()),
    ("an_archive_that_unpacks_to_too_much_is_a_note", |child| archive(child).boxed_local()),
    ("an_image_of_huge_dimensions_is_a_note", |child| dimensions(child).boxed_local()),
    ("a_table_of_one_line_is_cut", |child| one_line(child).boxed_local()),
];

fn main() {
    let child = Extractor::of_this_program();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--list") {
        let listed = TESTS.iter().filter(|_| !has("--ignored"));
        listed.for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (name, test) in
        TESTS.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|part| name.contains(*part)))
    {
        runtime.block_on(test(child.clone()));
        println!("test {name} ... ok");
    }
}

/// Returns the part of a request that shows a file to a model which reads images and PDFs, or tells it about the file.
async fn shown(child: &Extractor, media_type: &str, bytes: impl Into<Vec<u8>>) -> Part {
    let store = sequent_tables::testing::store().await;
    let artifacts = Artifacts::new(store, bucket().await.0);
    let description = Description {
        title: "crafted".to_owned(),
        entity_type: "file".to_owned(),
        tags: Vec::new(),
        media_type: media_type.to_owned(),
    };
    let tenant = TenantId::new();
    let bytes: Vec<u8> = bytes.into();
    let saved = artifacts.save(tenant, ArtifactId::new(), description, Origin::default(), bytes.into());
    let file = AttachedFile::described(saved.await.unwrap().id.to_string(), "[attached: crafted]");
    let mut messages = [Message { role: Role::User, parts: vec![Part::File(file)] }];
    let mut files = Files::new(artifacts, tenant, child.clone());
    let all = Abilities { images: true, pdf: true };
    files.show(&mut messages, all, u64::MAX).await.unwrap();
    messages[0].parts.remove(0)
}

fn text(part: &Part) -> &str {
    let Part::Text { text } = part else { panic!("{part:?} is no text") };
    text
}

/// Checks that the file is a note with this reason.
async fn is_note(child: &Extractor, media_type: &str, bytes: Vec<u8>, reason: &str) {
    let part = shown(child, media_type, bytes).await;
    let told = format!("[attached: crafted]\n(The file cannot be read: {reason}.)");
    assert_eq!(text(&part), told);
}

const DAMAGED: &str = "it is damaged, encrypted, too large or of another type than it claims";
const EXCESSIVE: &str = "reading it takes more memory or time than is allowed";

/// A PDF with one page with this content.
fn pdf(content: Vec<u8>) -> Vec<u8> {
    let mut document = Document::with_version("1.5");
    let pages = document.new_object_id();
    let mut stream = Stream::new(dictionary! {}, content);
    stream.compress().unwrap();
    let content = document.add_object(stream);
    let font =
        document.add_object(dictionary! {"Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Courier"});
    let page = document.add_object(dictionary! {"Type" => "Page", "Parent" => pages, "Contents" => content});
    let tree = dictionary! {"Type" => "Pages", "Count" => 1, "Kids" => vec![page.into()],
    "Resources" => dictionary! {"Font" => dictionary! {"F1" => font}},
    "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()]};
    document.objects.insert(pages, Object::Dictionary(tree));
    let catalog = document.add_object(dictionary! {"Type" => "Catalog", "Pages" => pages});
    document.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

fn docx(body: &str) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("word/document.xml", SimpleFileOptions::default()).unwrap();
    archive.write_all(body.as_bytes()).unwrap();
    archive.finish().unwrap().into_inner()
}

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

async fn whole_files(child: Extractor) {
    let hello = b"BT /F1 12 Tf (The tides of Brest.) Tj ET".to_vec();
    let document = pdf(hello);
    let part = shown(&child, "application/pdf", document.clone()).await;
    assert!(
        matches!(&part, Part::File(file) if file.bytes.as_ref().unwrap().bytes() == &document),
        "{part:?}"
    );
    let mut png = Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(2_100, 2).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let part = shown(&child, "image/png", png.into_inner()).await;
    assert!(
        matches!(&part, Part::File(file) if file.bytes.as_ref().unwrap().bytes().starts_with(b"\xff\xd8")),
        "{part:?}"
    );
    let part = shown(&child, DOCX, docx("<w:p><w:t>Dear all.</w:t></w:p>")).await;
    assert!(text(&part).contains("Dear all."), "{part:?}");
    let part = shown(&child, "text/html", "<h1>Tides</h1>").await;
    assert!(text(&part).contains("# Tides"), "{part:?}");
    is_note(&child, "image/png", b"\x89PNG\r\n\x1a\n not really".to_vec(), DAMAGED).await;
}

/// Four million numbers of two bytes each, for which the reader takes sixty times as much memory.
async fn objects(child: Extractor) {
    let beginning = b"%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[3 0 R]/Count 1>>\nendobj\n\
        3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>\nendobj\n4 0 obj\n[";
    let end = b"]\nendobj\ntrailer\n<</Root 1 0 R>>\n%%EOF\n";
    let document = [beginning.to_vec(), b"0 ".repeat(4_000_000), end.to_vec()].concat();
    is_note(&child, "application/pdf", document, EXCESSIVE).await;
}

async fn operands(child: Extractor) {
    let document = pdf([b"0 ".repeat(4_100_000), b"n".to_vec()].concat());
    assert!(document.len() < 100_000, "{}", document.len());
    is_note(&child, "application/pdf", document, EXCESSIVE).await;
}

async fn deep(child: Extractor) {
    let arrays = [b"[".repeat(200_000), b"]".repeat(200_000), b" Tj".to_vec()].concat();
    let html = "<div><ul><li>".repeat(60_000) + "deep";
    let xml = format!("<w:p>{}<w:t>deep</w:t>", "<w:tbl>".repeat(300_000));
    let files = [("application/pdf", pdf(arrays)), ("text/html", html.into()), (DOCX, docx(&xml))];
    for (media_type, bytes) in files {
        let part = shown(&child, media_type, bytes).await;
        let is_shown = matches!(&part, Part::File(_));
        assert!(
            is_shown || text(&part).contains("deep") || text(&part).contains("cannot be read"),
            "{part:?}"
        );
    }
}

async fn archive(child: Extractor) {
    is_note(&child, DOCX, docx(&format!("<w:t>{}</w:t>", " ".repeat(20 << 20))), DAMAGED).await;
}

/// Replaces the dimensions in the header of an image.
fn resized(format: image::ImageFormat, at: usize, dimensions: &[u8]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(1, 1).write_to(&mut bytes, format).unwrap();
    let mut bytes = bytes.into_inner();
    bytes[at..at + dimensions.len()].copy_from_slice(dimensions);
    bytes
}

async fn dimensions(child: Extractor) {
    let screen = resized(image::ImageFormat::Gif, 6, &[0x60, 0xea, 0x60, 0xea]);
    is_note(&child, "image/gif", screen, DAMAGED).await;
    // The frame is larger than its screen of one pixel.
    let mut frame = resized(image::ImageFormat::Gif, 6, &[1, 0, 1, 0]);
    let descriptor = memchr::memmem::find(&frame, b"\x2c\0\0\0\0\x01\0\x01\0").unwrap();
    frame[descriptor + 5..descriptor + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    let part = shown(&child, "image/gif", frame).await;
    assert!(text(&part).contains("cannot be read"), "{part:?}");
    let mut png = resized(image::ImageFormat::Png, 16, &[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
    let mut checksum = flate2::Crc::new();
    checksum.update(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.sum().to_be_bytes());
    is_note(&child, "image/png", png, DAMAGED).await;
}

async fn one_line(child: Extractor) {
    let part = shown(&child, "text/csv", b"12,34;".repeat(3_000_000)).await;
    assert!(text(&part).len() < 201_000 && text(&part).contains("[Cut:"), "{}", text(&part).len());
}
