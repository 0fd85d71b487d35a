//! One small document of each type: the example in its schema, and the document of the demo provider.

use serde_json::{Value, json};

use crate::DocumentKind;

/// Returns a valid example.
pub(crate) fn of(kind: DocumentKind) -> Value {
    match kind {
        DocumentKind::Report => json!({
            "type": "report",
            "version": 1,
            "title": "An example of a report",
            "language": "en",
            "abstract": "This was not written by a model. It is an example of a report.",
            "sections": [
                {"heading": "Texts", "level": 1, "blocks": [
                    {"type": "paragraph", "text": "A paragraph may be **bold**, *italic* or `code`, and cites what it rests on.[^a]"},
                    {"type": "list", "items": ["An item", "Another item"]}
                ]},
                {"heading": "Numbers", "level": 1, "blocks": [
                    {"type": "table", "header": ["Port", "Range in m"], "rows": [["North", "3.1"], ["South", "0.4"]]},
                    {"type": "chart", "kind": "bar", "caption": "The same numbers.", "unit": "m", "labels": ["North", "South"],
                     "series": [{"name": "Range", "values": [3.1, 0.4]}]}
                ]}
            ],
            "sources": [{"id": "a", "url": "https://example.com/", "title": "An example domain"}]
        }),
        DocumentKind::Slides => json!({
            "type": "slides",
            "version": 1,
            "title": "An example of slides",
            "language": "en",
            "slides": [
                {"title": "What this is", "blocks": [
                    {"type": "list", "items": ["This was not written by a model", "It is an example of slides"]}
                ], "notes": "Notes for the speaker."},
                {"title": "Numbers", "blocks": [
                    {"type": "chart", "kind": "line", "labels": ["1", "2", "3"], "series": [{"name": "A", "values": [1, 3, 2]}]}
                ]}
            ]
        }),
        DocumentKind::Website => json!({
            "type": "website",
            "version": 1,
            "title": "An example of a website",
            "entry": "index.html",
            "files": [
                {"path": "index.html", "media_type": "text/html; charset=utf-8",
                 "content": "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>An example of a website</title><link rel=\"stylesheet\" href=\"style.css\"><h1>An example of a website</h1><p>This was not written by a model. It is an example of a website.</p></html>"},
                {"path": "style.css", "media_type": "text/css", "content": "body { font: 18px/1.5 sans-serif; margin: 3rem auto; max-width: 40rem }"}
            ]
        }),
    }
}
