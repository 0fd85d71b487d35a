//! Every word of a large block is on a page. The words of these documents are numbered, so each of them is looked for. The
//! titles and table headers that a PDF file repeats cannot stand in for a word that is lost.

use std::collections::BTreeSet;

use sequent_documents::{Document, limits};
use serde_json::json;
use typst::layout::Abs;
use typst::model::DocumentInfo;

use super::*;
use crate::pdf::{self, view};

/// Numbered words, of which none is a part of another: as many as fit `chars` characters.
fn words(name: &str, chars: usize) -> String {
    let length = name.len() + "00000 ".len();
    let words: Vec<String> = (0..chars / length).map(|number| format!("{name}{number:05}")).collect();
    words.join(" ")
}

fn is_numbered(word: &str) -> bool {
    word.len() > 5 && word.is_ascii() && word[word.len() - 5..].bytes().all(|byte| byte.is_ascii_digit())
}

/// The numbered words of the texts in the data of a document.
fn expected(data: &Value, words: &mut BTreeSet<String>) {
    match data {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "text" => {
                        let numbered = text.split_whitespace().filter(|word| is_numbered(word));
                        words.extend(numbered.map(str::to_owned));
                    }
                    value => expected(value, words),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expected(item, words)),
        _ => {}
    }
}

/// The numbered words that a reader of the pages misses. A word that is broken at the end of a line is not missed.
fn missing(document: &PagedDocument, data: &Value) -> Vec<String> {
    let mut shown = String::new();
    walk(document, &mut |glyph| {
        if glyph.is_visible {
            shown.extend(glyph.text.chars().filter(|c| c.is_alphanumeric() || c.is_whitespace()));
        }
    });
    let found: BTreeSet<&str> = shown.split_whitespace().collect();
    let joined: String = shown.split_whitespace().collect();
    let mut words = BTreeSet::new();
    expected(data, &mut words);
    assert!(!words.is_empty());
    words.retain(|word| !found.contains(word.as_str()) && !joined.contains(word));
    words.into_iter().collect()
}

fn report(blocks: &Value) -> view::View {
    let sources: Vec<Value> = (0..6)
        .map(|at| {
            json!({"id": format!("s{at}"), "url": format!("https://a.test/{}", "x".repeat(2_000)),
                   "title": words(&format!("title{at}a"), 300), "quote": words(&format!("quote{at}a"), limits::QUOTE_CHARS)})
        })
        .collect();
    let heading = words("heading", limits::LINE_CHARS);
    let report = json!({"type": "report", "version": 1, "title": "Long", "sources": sources,
        "sections": [{"heading": heading, "level": 1, "blocks": blocks}]});
    let Ok(Document::Report(report)) = Document::from_value(report) else { panic!("a report") };
    view::report(&report).unwrap()
}

/// Typesets a document and passes its pages to `check`.
fn typeset(main: &str, view: view::View, check: impl FnOnce(PagedDocument, &Value) + Send) {
    let world = pdf::world_of(main, &view.data, view.charts).unwrap();
    std::thread::scope(|scope| {
        let compiling = std::thread::Builder::new().stack_size(pdf::STACK).spawn_scoped(scope, || {
            check(typst::compile::<PagedDocument>(&world).output.unwrap(), &view.data);
        });
        compiling.unwrap().join().unwrap();
    });
}

fn assert_complete(main: &str, view: view::View, of: &str) {
    typeset(main, view, |document, data| {
        assert_eq!(missing(&document, data), Vec::<String>::new(), "{of}");
        assert_eq!(warnings(&document, data), Vec::<String>::new(), "{of}");
    });
}

fn cells(name: &str, rows: usize, columns: usize, chars: usize) -> Vec<Vec<String>> {
    let cell = |row: usize, column: usize| words(&format!("{name}r{row}c{column}w"), chars);
    (0..rows).map(|row| (0..columns).map(|column| cell(row, column)).collect()).collect()
}

#[test]
fn no_word_of_a_large_block_is_lost() {
    let cited: String =
        (0..6).map(|at| format!("{} claim{at}[^s{at}] ", words(&format!("w{at}a"), 200))).collect();
    let blocks = json!([
        {"type": "callout", "title": words("title", 300), "text": words("callout", 12_000)},
        {"type": "table", "header": ["a", "b"], "rows": cells("a", 9, 2, 2_000)},
        {"type": "table", "header": ["a"], "rows": [[words("cell", 2_000)]]},
        {"type": "table", "header": cells("bh", 1, 12, 40)[0], "rows": cells("b", 12, 12, 150)},
        {"type": "table", "header": cells("ch", 1, 3, 2_000)[0], "rows": cells("c", 3, 3, 100)},
        {"type": "table", "caption": words("caption", 2_000), "header": ["a"], "rows": [["b"]]},
        {"type": "chart", "kind": "bar", "labels": ["a"], "caption": words("chart", 2_000),
         "series": [{"name": "n", "values": [1]}]},
        {"type": "quote", "text": words("quote", 6_000), "source": words("source", 2_000)},
        {"type": "code", "text": words("code", 6_000)},
        {"type": "list", "items": [words("item", 6_000), "short"]},
        {"type": "paragraph", "text": cited},
        {"type": "paragraph", "text": format!("{} {}", "x".repeat(3_000), "=".repeat(3_000))},
        {"type": "callout", "text": "海平面上升".repeat(800)},
    ]);
    // `PDF_BLOCK=3` checks one of them, to find the one that fails.
    let one = std::env::var("PDF_BLOCK").ok().and_then(|at| at.parse::<usize>().ok());
    let blocks = one.map_or_else(|| blocks.clone(), |at| json!([blocks[at]]));
    assert_complete("report.typ", report(&blocks), "blocks");
}

#[test]
fn no_word_of_a_large_slide_is_lost() {
    let callout = json!({"type": "callout", "text": words("callout", 2_000)});
    let table = json!({"type": "table", "header": ["a", "b"], "rows": cells("t", 9, 2, 200)});
    let list = json!({"type": "list", "items": [words("one", 2_000), words("two", 2_000)]});
    for layout in ["two_columns", "section"] {
        let slide = json!({"title": words("slide", limits::LINE_CHARS), "layout": layout,
            "blocks": [callout, table, list]});
        let slides = json!({"type": "slides", "version": 1, "title": "Long", "slides": [slide]});
        let Ok(Document::Slides(slides)) = Document::from_value(slides) else { panic!("slides") };
        assert_complete("slides.typ", view::slides(&slides).unwrap(), layout);
    }
}

/// The header of the table is repeated on every page, and contains all letters of the cells.
#[test]
fn a_word_is_missed_although_a_repeated_header_has_its_letters() {
    let header = words("cell", 300);
    let view = report(&json!([{"type": "table", "header": [header], "rows": cells("cell", 60, 1, 200)}]));
    typeset("report.typ", view, |document, data| {
        let mut pages = document.pages().to_vec();
        assert!(pages.len() > 3, "{} pages", pages.len());
        assert_eq!(missing(&document, data), Vec::<String>::new());
        // What is drawn beyond the end of its page cannot be seen.
        let page = &mut pages[2];
        let size = page.frame.size();
        page.frame.set_size(Size::new(size.x, size.y - Abs::cm(5.0)));
        let cut = PagedDocument::new(pages.into_iter().collect(), DocumentInfo::default());
        assert!(!missing(&cut, data).is_empty());
    });
}
