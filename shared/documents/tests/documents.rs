//! Documents through the public API: valid ones, and the messages from which a model corrects invalid ones.

use proptest::prelude::*;
use sequent_documents::{Block, Document, DocumentKind, InvalidDocument, limits};
use serde_json::{Value, json};

fn report() -> Value {
    json!({
        "type": "report", "version": 1, "title": "Tides", "authors": ["A. Moana"], "date": "2026-03-01", "language": "en",
        "abstract": "They **rise**.[^noaa]",
        "sections": [{"heading": "Data", "level": 1, "blocks": [
            {"type": "paragraph", "text": "As [seen](https://a.test)."},
            {"type": "list", "ordered": true, "items": ["one", "two"]},
            {"type": "table", "header": ["Port", "Metres"], "rows": [["Brest", "6.1"]]},
            {"type": "chart", "kind": "bar", "labels": ["a", "b"], "series": [{"name": "s", "values": [1.5, null]}]},
            {"type": "quote", "text": "Wait.", "source": "Canute"},
            {"type": "code", "language": "rust", "text": "fn main() {}"},
            {"type": "callout", "tone": "warning", "text": "Mind the gap."},
        ]}],
        "sources": [{"id": "noaa", "url": "https://noaa.test/", "title": "Tables", "accessed": "2026-02-01"}],
    })
}

fn website() -> Value {
    json!({"type": "website", "version": 1, "title": "Site", "entry": "index.html", "files": [
        {"path": "index.html", "media_type": "text/html; charset=utf-8", "content": "<h1>\u{1}hi</h1>"},
        {"path": "img/dot.png", "media_type": "image/png", "base64": "iVBORw0="},
    ]})
}

fn slides() -> Value {
    json!({"type": "slides", "version": 1, "title": "Deck", "theme": "dark", "slides": [
        {"title": "One", "layout": "two_columns", "blocks": [{"type": "paragraph", "text": "a"}], "notes": "say it"},
    ]})
}

/// Returns the problems of `value` after `change`, one per line.
fn refused(mut value: Value, change: impl FnOnce(&mut Value)) -> String {
    change(&mut value);
    match Document::from_value(value) {
        Ok(document) => panic!("accepted: {document:?}"),
        Err(InvalidDocument { problems, more }) => {
            assert!(!problems.is_empty());
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            lines.join("\n") + if more > 0 { "\nmore" } else { "" }
        }
    }
}

#[test]
fn a_valid_document_round_trips() {
    for value in [report(), slides(), website()] {
        let document = Document::from_value(value.clone()).unwrap();
        let json = document.to_json();
        assert_eq!(Document::parse(&json).unwrap(), document);
        assert_eq!(serde_json::from_slice::<Document>(&json).unwrap(), document);
        assert_eq!(document.kind().as_str(), value["type"]);
    }
}

#[test]
fn a_problem_has_a_pointer_and_a_message() {
    let block = |block: Value| refused(report(), |value| value["sections"][0]["blocks"] = json!([block]));
    insta::assert_snapshot!(refused(report(), |value| {
        value["title"] = json!(7);
        value["sections"][0]["level"] = json!(4);
        value["sectoins"] = json!([]);
        value["date"] = json!("2026-02-30");
    }), @r#"
    - remove the unknown properties `sectoins`
    - at /date: '2026-02-30' is not valid date: february has 28 days only
    - at /sections/0/level: must be <=3, but got 4
    - at /title: want string, but got number
    "#);
    insta::assert_snapshot!(block(json!({"type": "paragrap", "text": "a"})), @"- at /sections/0/blocks/0/type: the type must be one of `paragraph`, `list`, `table`, `chart`, `quote`, `code`, `callout`");
    insta::assert_snapshot!(block(json!({"type": "table", "header": ["a"], "rows": [[1]], "x": 1})), @r#"
    - at /sections/0/blocks/0: remove the unknown properties `x`
    - at /sections/0/blocks/0/rows/0/0: want string, but got number
    "#);
    insta::assert_snapshot!(block(json!({"type": "table", "header": ["a", "b"], "rows": [["1"]], "align": ["end"]})), @r#"
    - at /sections/0/blocks/0/align: expected 2 alignments, as in the header, but got 1
    - at /sections/0/blocks/0/rows/0: expected 2 cells, as in the header, but got 1
    "#);
    insta::assert_snapshot!(block(json!({"type": "paragraph", "text": "So.[^who] See [it](javascript:x)."})), @r#"
    - at /sections/0/blocks/0/text: `[^who]` cites an unknown source: add a source with the id `who` to `sources`
    - at /sections/0/blocks/0/text: the link to `javascript:x` must be an absolute http or https address
    "#);
    insta::assert_snapshot!(block(json!({"type": "chart", "kind": "pie", "labels": ["a", "b"],
        "series": [{"name": "s", "values": [-1, 1, 2]}, {"name": "t", "values": [null, null]}]})), @r#"
    - at /sections/0/blocks/0/series/0/values: expected 2 values, one for each label, but got 3
    - at /sections/0/blocks/0/series/1/values: the series must have at least one number
    - at /sections/0/blocks/0/series: a pie must have exactly one series
    - at /sections/0/blocks/0/series/0/values: a pie must have no negative values and a sum above zero
    "#);
    insta::assert_snapshot!(block(json!({"type": "chart", "kind": "scatter", "labels": ["Jan"],
        "series": [{"name": "s", "values": [1e16]}]})), @"- at /sections/0/blocks/0/series/0/values/0: must be <=1000000000000000.0, but got 1e+16");
    insta::assert_snapshot!(block(json!({"type": "chart", "kind": "scatter", "labels": ["nan"],
        "series": [{"name": "s", "values": [1]}]})), @r#"- at /sections/0/blocks/0/labels/0: the label must be a number, such as "1.5": a scatter chart has numbers along x"#);
    insta::assert_snapshot!(block(json!({"type": "code", "text": "a\u{0}b \u{202e}"})), @"- at /sections/0/blocks/0/text: remove the character U+0000: it is not allowed in texts");
    insta::assert_snapshot!(refused(report(), |value| {
        value["sources"] = json!([{"id": "noaa", "url": "https://u:p@a.test", "title": "t"}]);
    }), @"- at /sources/0/url: the address must be absolute, http or https, and without user name or password");
}

#[test]
fn a_website_unpacks_safely() {
    let file = |path: &str| json!({"path": path, "media_type": "text/css", "content": ""});
    let with = |paths: &[&str]| {
        refused(website(), |value| {
            let files = value["files"].as_array_mut().unwrap();
            files.extend(paths.iter().map(|path| file(path)));
        })
    };
    for path in ["../a", "/a", "a\\b", "a//b", "a/../b", ".git/config", "a\0", "CON", "a/b/c/d/e/f/g/h/i"] {
        assert!(with(&[path]).starts_with("- at /files/2/path: "), "{path}");
    }
    insta::assert_snapshot!(with(&["INDEX.html", "img"]), @r#"
    - at /files/2/path: the path is used twice: paths must be unique, ignoring case
    - at /files/1/path: `img` is a file and cannot be a folder, too
    "#);
    insta::assert_snapshot!(refused(website(), |value| value["entry"] = json!("img/dot.png")), @"- at /entry: the entry must be a file with the media type `text/html`");
    insta::assert_snapshot!(refused(website(), |value| value["files"][1]["base64"] = json!("!")), @"- at /files/1: the value is not valid base64: Invalid symbol 33, offset 0.");
    insta::assert_snapshot!(refused(website(), |value| value["files"][1]["content"] = json!("")), @"- at /files/1: the file must have exactly one of `content` and `base64`");
    let large = "a".repeat(limits::FILES_BYTES + 1);
    assert!(
        refused(website(), |value| value["files"][0]["content"] = json!(large)).contains("bytes together")
    );
}

#[test]
fn there_is_a_limit_on_everything() {
    let blocks =
        |blocks: Vec<Value>| refused(report(), |value| value["sections"][0]["blocks"] = json!(blocks));
    let paragraph = json!({"type": "paragraph", "text": "a"});
    assert!(blocks(vec![paragraph.clone(); limits::BLOCKS + 1]).contains("/sections/0/blocks"));
    let word = "a".repeat(limits::TEXT_CHARS + 1);
    assert!(blocks(vec![json!({"type": "paragraph", "text": word})]).contains("/text"));
    let sections = vec![json!({"heading": "h", "level": 1, "blocks": vec![paragraph; 200]}); 11];
    assert!(
        refused(report(), |value| value["sections"] = json!(sections)).contains("2200 blocks: at most 2000")
    );
    let many = refused(report(), |value| value["sections"] = json!(vec![json!({}); 20]));
    assert!(many.ends_with("more") && many.lines().count() == limits::PROBLEMS + 1);
    let json = format!(r#"{{"type":"report","title":"{}"}}"#, "a".repeat(limits::DOCUMENT_BYTES));
    assert!(Document::parse(json).unwrap_err().to_string().contains("too large"));
}

#[test]
fn other_json_is_refused() {
    for json in ["", "[]", "null", "{", r#"{"type":"memo"}"#, "\u{0}", r#"{"type":"report","version":1e999}"#]
    {
        assert!(Document::parse(json).is_err(), "{json}");
    }
    assert!(Document::parse(vec![0xFF; 64]).is_err());
    assert!(Document::parse("[".repeat(1_000_000)).is_err());
}

#[test]
fn the_schemas_do_not_change_by_accident() {
    for kind in DocumentKind::ALL {
        let schema = Document::schema(kind);
        assert_eq!(schema["properties"]["type"]["const"], kind.as_str());
        assert_eq!(schema["additionalProperties"], false);
        let example = Document::from_value(schema["examples"][0].clone());
        assert_eq!(example.map(|document| document.kind()), Ok(kind));
    }
    let schema = Document::schema(DocumentKind::Report);
    assert_eq!(schema["$defs"]["block"]["anyOf"].as_array().unwrap().len(), 7);
}

fn any_text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[ -~]{1,20}",
        "\\PC{1,10}",
        Just("**b**".to_owned()),
        Just("[^s1]".to_owned()),
        Just("[a](https://a.test/ü?q=1)".to_owned()),
        Just("`x`".to_owned()),
        Just("שלום العالم 世界".to_owned()),
    ];
    proptest::collection::vec(word, 1..6).prop_map(|words| words.join(" "))
}

fn any_block() -> impl Strategy<Value = Value> {
    let number = proptest::option::of(-1e12..1e12_f64);
    prop_oneof![
        any_text().prop_map(|text| json!({"type": "paragraph", "text": text})),
        proptest::collection::vec(any_text(), 1..4).prop_map(|items| json!({"type": "list", "items": items})),
        (any_text(), any_text())
            .prop_map(|(head, cell)| json!({"type": "table", "header": [head], "rows": [[cell], [""]]})),
        (number, "[a-z]{1,9}").prop_map(|(number, label)| json!({"type": "chart", "kind": "line",
            "labels": [label, "z"], "series": [{"name": "s", "values": [number, 0.1]}]})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_parsed_document_round_trips(title in any_text(), blocks in proptest::collection::vec(any_block(), 0..6)) {
        let value = json!({"type": "report", "version": 1, "title": title,
            "sections": [{"heading": "h", "level": 1, "blocks": blocks}],
            "sources": [{"id": "s1", "url": "https://a.test/ü", "title": "t"}]});
        if let Ok(document) = Document::from_value(value) {
            let json = document.to_json();
            let again = Document::parse(&json).unwrap();
            prop_assert_eq!(again.to_json(), json);
            prop_assert_eq!(again, document);
        }
    }

    #[test]
    fn hostile_input_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..900) {
        let _ = Document::parse(&bytes);
        let mut json = serde_json::to_vec(&report()).unwrap();
        json.splice(cut.min(json.len()).., bytes.iter().copied());
        let _ = Document::parse(&json);
    }

    #[test]
    fn any_value_in_any_field_is_accepted_or_refused(field in 0usize..8, junk in prop_oneof![
        Just(json!(null)), Just(json!(-1)), Just(json!([[]])), Just(json!({"type": "chart"})), Just(json!("\u{202e}")),
    ]) {
        let mut value = report();
        let name = value.as_object().unwrap().keys().nth(field).unwrap().clone();
        value[&name] = junk.clone();
        let _ = Document::from_value(value);
        let mut value = report();
        value["sections"][0]["blocks"][field % 7] = junk;
        prop_assert!(Document::from_value(value).is_err());
    }
}

#[test]
fn a_table_in_json_is_a_table() {
    let Document::Report(report) = Document::from_value(report()).unwrap() else { panic!("a report") };
    assert!(matches!(&report.sections[0].blocks[2], Block::Table(table) if table.header.len() == 2));
}
