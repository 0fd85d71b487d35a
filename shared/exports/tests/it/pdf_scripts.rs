//! PDF files of unusual documents: scripts that no font covers are named.

use sequent_documents::Document;
use sequent_exports::{Exported, Format, export};
use serde_json::{Value, json};

fn report(blocks: Value) -> Document {
    let report = json!({"type": "report", "version": 1, "title": "Long",
        "sections": [{"heading": "Scripts", "level": 1, "blocks": blocks}]});
    Document::from_value(report).unwrap()
}

fn pdf(document: &Document, name: &str) -> Exported {
    let exported = export(document, Format::Pdf).unwrap();
    std::fs::write(format!("{}/{name}.pdf", env!("CARGO_TARGET_TMPDIR")), &exported.bytes).unwrap();
    exported
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
