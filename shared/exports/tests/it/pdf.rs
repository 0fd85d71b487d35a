//! PDF files, read back as a reader, a search and a screen reader would read them.

use std::sync::LazyLock;

use lopdf::{Dictionary, Document as Pdf, Object};
use sequent_documents::{Document, testing};
use sequent_exports::{Error, Format, export};
use serde_json::json;

static REPORT: LazyLock<Pdf> = LazyLock::new(|| load(&testing::report(), "report"));

/// Exports `document`. The file stays in `target/tmp` for inspection.
fn load(document: &Document, name: &str) -> Pdf {
    let pdf = export(document, Format::Pdf).unwrap().bytes;
    std::fs::write(format!("{}/{name}.pdf", env!("CARGO_TARGET_TMPDIR")), &pdf).unwrap();
    Pdf::load_mem(&pdf).unwrap()
}

fn dictionaries(pdf: &Pdf) -> impl Iterator<Item = &Dictionary> {
    pdf.objects.values().filter_map(|object| match object {
        Object::Dictionary(dictionary) => Some(dictionary),
        Object::Stream(stream) => Some(&stream.dict),
        _ => None,
    })
}

fn is(dictionary: &Dictionary, key: &[u8], name: &[u8]) -> bool {
    dictionary.get(key).and_then(Object::as_name).is_ok_and(|found| found == name)
}

fn text(pdf: &Pdf) -> String {
    let pages: Vec<u32> = pdf.get_pages().keys().copied().collect();
    pdf.extract_text(&pages).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_long_report_has_pages_outline_and_metadata() {
    let pages = REPORT.get_pages().len();
    assert!((20..=22).contains(&pages), "{pages} pages");
    let catalog = REPORT.catalog().unwrap();
    assert!(catalog.has(b"Outlines") && catalog.has(b"StructTreeRoot"));
    let bookmarks =
        dictionaries(&REPORT).filter(|d| d.has(b"Title") && d.has(b"Parent") && d.has(b"Dest")).count();
    assert!(bookmarks >= 20, "{bookmarks} bookmarks");
    let info = REPORT.trailer.get(b"Info").and_then(Object::as_reference).unwrap();
    let info = REPORT.get_dictionary(info).unwrap();
    let title = lopdf::decode_text_string(info.get(b"Title").unwrap()).unwrap();
    assert_eq!(title, "Rising seas, sinking cities");
    let authors = lopdf::decode_text_string(info.get(b"Author").unwrap()).unwrap();
    assert!(authors.contains("李明"), "{authors}");
    let language = lopdf::decode_text_string(catalog.get(b"Lang").unwrap()).unwrap();
    assert_eq!(language, "en-GB");
}

#[test]
fn every_font_is_embedded_and_can_be_searched() {
    let descriptors: Vec<_> = dictionaries(&REPORT).filter(|d| is(d, b"Type", b"FontDescriptor")).collect();
    assert!(descriptors.len() >= 8, "{} fonts", descriptors.len());
    for descriptor in descriptors {
        assert!(
            [b"FontFile2".as_slice(), b"FontFile3"].iter().any(|key| descriptor.has(key)),
            "{descriptor:?}"
        );
    }
    for font in dictionaries(&REPORT).filter(|d| is(d, b"Type", b"Font") && is(d, b"Subtype", b"Type0")) {
        assert!(font.has(b"ToUnicode"), "{font:?}");
    }
}

#[test]
fn words_of_every_script_are_extracted() {
    let text = text(&REPORT);
    for word in
        ["Satellite altimetry", "Greenland", "上海", "大阪", "上昇", "부산", "Одессы", "Θεσσαλονίκη", "🌊"]
    {
        assert!(text.contains(word), "{word} is missing");
    }
    // Lines of Arabic and Hebrew are stored in the order of drawing, from the left. Readers reverse them.
    for word in ["الإسكندرية", "חיפה"] {
        let reversed: String = word.chars().rev().collect();
        assert!(text.contains(word) || text.contains(&reversed), "{word} is missing");
    }
}

#[test]
fn links_and_citations_are_links_of_the_pdf() {
    let links: Vec<_> = dictionaries(&REPORT).filter(|d| is(d, b"Subtype", b"Link")).collect();
    let out = |url: &str| {
        links
            .iter()
            .filter_map(|link| link.get(b"A").ok()?.as_dict().ok()?.get(b"URI").ok()?.as_str().ok())
            .any(|uri| uri == url.as_bytes())
    };
    assert!(out("https://www.ipcc.ch/report/ar6/wg1/") && out("https://www.deltaprogramma.nl/documenten"));
    let inside = links.iter().filter(|link| link.has(b"Dest") || !link.has(b"A")).count();
    assert!(inside >= 30, "{inside} links to other pages");
}

#[test]
fn every_slide_is_a_page_and_no_text_is_cut() {
    for theme in ["light", "dark"] {
        let pdf = load(&testing::slides(theme), &format!("slides-{theme}"));
        // The title page, seven slides and the sources.
        assert_eq!(pdf.get_pages().len(), 9);
        let text = text(&pdf);
        assert!(text.contains("Point 24") && text.contains("Decision needed"), "{text}");
    }
}

#[test]
fn hostile_text_is_only_text() {
    let word = "x".repeat(19_000);
    let texts = [
        "#import \"@preview/evil:1.0.0\": *",
        "#read(\"/etc/passwd\")",
        "$ sum_x $ @ref <label> = Heading",
        "#panic()",
        "</style><script>alert(1)</script>",
        "\\u{0} \\#eval(\"1\")",
        "{{7*7}} ${7*7}",
        "\u{200F}\u{2066}a\u{0301}\u{20DD}",
        &word,
    ];
    let blocks: Vec<_> = texts.iter().flat_map(|text| [
        json!({"type": "paragraph", "text": text}),
        json!({"type": "code", "language": "typst", "text": text}),
        json!({"type": "table", "header": [text.chars().take(200).collect::<String>(), "b"], "rows": [["", "#a"]]}),
    ]).collect();
    let line = "#import \"x\": * </svg>";
    let document = Document::from_value(json!({"type": "report", "version": 1, "title": line, "authors": [line],
        "sections": [{"heading": line, "level": 1, "blocks": blocks},
            {"heading": line, "level": 3, "blocks": [{"type": "chart", "kind": "bar", "labels": [line], "caption": line,
                "series": [{"name": line, "values": [1]}]}]}],
        "sources": [{"id": "a", "url": "https://a.test/\"#x", "title": line}]})).unwrap();
    let text = text(&load(&document, "hostile"));
    for words in ["#import", "#read(\"/etc/passwd\")", "#panic()", "<script>alert(1)</script>", "{{7*7}}"] {
        assert!(text.contains(words), "{words} is missing");
    }
}

#[test]
fn the_same_document_gives_the_same_bytes() {
    let document = testing::slides("light");
    assert_eq!(export(&document, Format::Pdf), export(&document, Format::Pdf));
    assert!(matches!(export(&document, Format::Zip), Err(Error::Unsupported { .. })));
}
