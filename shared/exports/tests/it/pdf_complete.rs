//! PDF files of large and unusual documents: every word is on a page, and scripts that no font covers are named.

use sequent_documents::{Document, limits};
use sequent_exports::{Exported, Format, export};
use serde_json::{Value, json};

/// Numbered words, so that a missing one has a name: as many as fit `chars` characters.
fn words(name: &str, chars: usize) -> String {
    let mut text = String::new();
    for number in 0.. {
        let word = format!("{name}{number} ");
        if text.len() + word.len() > chars {
            break;
        }
        text += &word;
    }
    text.trim_end().to_owned()
}

fn report(blocks: Value) -> Document {
    let sources: Vec<Value> = (0..6)
        .map(|at| {
            json!({"id": format!("s{at}"), "url": format!("https://a.test/{}", "x".repeat(2_000)),
                   "title": words("title", 300), "quote": words("quote", limits::QUOTE_CHARS)})
        })
        .collect();
    let report = json!({"type": "report", "version": 1, "title": "Long", "sources": sources,
        "sections": [{"heading": words("heading", limits::LINE_CHARS), "level": 1, "blocks": blocks}]});
    Document::from_value(report).unwrap()
}

fn slides(blocks: Value, layout: &str) -> Document {
    let slide = json!({"title": words("slide", limits::LINE_CHARS), "layout": layout, "blocks": blocks});
    Document::from_value(json!({"type": "slides", "version": 1, "title": "Long", "slides": [slide]})).unwrap()
}

fn pdf(document: &Document, name: &str) -> Exported {
    let exported = export(document, Format::Pdf).unwrap();
    std::fs::write(format!("{}/{name}.pdf", env!("CARGO_TARGET_TMPDIR")), &exported.bytes).unwrap();
    exported
}

fn cells(rows: usize, columns: usize, chars: usize) -> Vec<Vec<String>> {
    let cell = |row: usize, column: usize| words(&format!("r{row}c{column}w"), chars);
    (0..rows).map(|row| (0..columns).map(|column| cell(row, column)).collect()).collect()
}

#[test]
fn no_word_of_a_large_block_is_lost() {
    let text = words("word", 6_000);
    let cited: String = (0..6).map(|at| format!("{} claim{at}[^s{at}] ", words("w", 200))).collect();
    let blocks = json!([
        {"type": "callout", "title": words("title", 300), "text": words("word", 12_000)},
        {"type": "table", "header": ["a", "b"], "rows": cells(9, 2, 2_000)},
        {"type": "table", "header": ["a"], "rows": [[words("cell", 2_000)]]},
        {"type": "table", "header": cells(1, 12, 40)[0], "rows": cells(12, 12, 150)},
        {"type": "table", "header": cells(1, 3, 2_000)[0], "rows": cells(3, 3, 100)},
        {"type": "table", "caption": words("caption", 2_000), "header": ["a"], "rows": [["b"]]},
        {"type": "chart", "kind": "bar", "labels": ["a"], "caption": words("caption", 2_000),
         "series": [{"name": "n", "values": [1]}]},
        {"type": "quote", "text": text, "source": words("source", 2_000)},
        {"type": "code", "text": text},
        {"type": "list", "items": [text, "short"]},
        {"type": "paragraph", "text": cited},
        {"type": "paragraph", "text": format!("{} {}", "x".repeat(3_000), "=".repeat(3_000))},
        {"type": "callout", "text": "海平面上升".repeat(800)},
    ]);
    // `PDF_BLOCK=3` checks one of them, to find the one that fails.
    let one = std::env::var("PDF_BLOCK").ok().and_then(|at| at.parse::<usize>().ok());
    let blocks = one.map_or_else(|| blocks.clone(), |at| json!([blocks[at]]));
    assert_eq!(pdf(&report(blocks), "blocks").warnings, Vec::<String>::new());
}

#[test]
fn no_word_of_a_large_slide_is_lost() {
    let text = words("word", 2_000);
    let callout = json!({"type": "callout", "text": text});
    let table = json!({"type": "table", "header": ["a", "b"], "rows": cells(9, 2, 200)});
    let list = json!({"type": "list", "items": [text, text]});
    for layout in ["two_columns", "section"] {
        let exported = pdf(&slides(json!([callout, table, list]), layout), &format!("slide-{layout}"));
        assert_eq!(exported.warnings, Vec::<String>::new(), "{layout}");
    }
}

#[test]
fn the_scripts_of_the_world_are_covered_or_named() {
    let covered = [
        "తెలుగు",
        "ગુજરાતી",
        "ಕನ್ನಡ",
        "മലയാളം",
        "ਪੰਜਾਬੀ",
        "ଓଡ଼ିଆ",
        "සිංහල",
        "ភាសាខ្មែរ",
        "ລາວ",
        "မြန်မာ",
        "አማርኛ",
        "हिन्दी",
        "বাংলা",
        "தமிழ்",
        "ไทย",
        "العربية",
        "עברית",
        "中文",
        "日本語",
        "한국어",
        "Ελληνικά",
        "Русский",
        "Հայերեն",
        "ქართული",
        "Việt Nam",
    ];
    let paragraph = |text: &str| json!({"type": "paragraph", "text": text});
    let blocks: Vec<Value> = covered.iter().map(|text| paragraph(text)).collect();
    assert_eq!(pdf(&report(json!(blocks)), "scripts").warnings, Vec::<String>::new());

    let uncovered = report(json!([paragraph("བོད་སྐད and ᏣᎳᎩ")]));
    let [warning] = &pdf(&uncovered, "uncovered").warnings[..] else { panic!("one warning") };
    assert!(warning.contains("Tibetan (") && warning.contains("Cherokee (Ꭹ"), "{warning}");
}
