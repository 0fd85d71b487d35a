//! The JSON Schemas of documents. A model receives them, and they are the first check of what it writes.
//!
//! They are written by hand and not derived from the types by `schemars`. A text has another description in each
//! place, a file has either `content` or `base64`, and each type of block is a definition of its own without unknown
//! properties, which the messages of the `structure` module depend on.

use serde_json::{Value, json};

use crate::{DocumentKind, example, limits as max};

/// The types of blocks.
pub(crate) const BLOCK_TYPES: [&str; 7] = ["paragraph", "list", "table", "chart", "quote", "code", "callout"];

/// Returns the schema of one type of document.
#[must_use]
pub fn of(kind: DocumentKind) -> Value {
    match kind {
        DocumentKind::Report => report(),
        DocumentKind::Slides => slides(),
        DocumentKind::Website => website(),
    }
}

fn document(kind: DocumentKind, title: &str, required: &[&str], own: &Value, defs: &Value) -> Value {
    let mut properties = json!({
        "type": {"const": kind.as_str()},
        "version": {"const": 1},
        "title": line("The title."),
    });
    let mut names = vec!["type", "version", "title"];
    names.extend_from_slice(required);
    merge(&mut properties, own);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": false,
        "examples": [example::of(kind)],
        "$defs": defs,
    })
}

fn merge(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        into.extend(from.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}

fn report() -> Value {
    let section = json!({
        "type": "object",
        "properties": {
            "heading": line("The heading without a number: numbers are added automatically."),
            "level": {"type": "integer", "minimum": 1, "maximum": 3},
            "blocks": blocks(),
        },
        "required": ["heading", "level", "blocks"],
        "additionalProperties": false,
    });
    let own = json!({
        "subtitle": line("A subtitle."),
        "authors": {"type": "array", "items": line("A name."), "maxItems": max::AUTHORS},
        "date": {"type": "string", "format": "date", "description": "YYYY-MM-DD."},
        "language": language(),
        "abstract": text("A summary of the report in a few sentences."),
        "sections": {"type": "array", "items": section, "minItems": 1, "maxItems": max::SECTIONS},
        "sources": sources(),
    });
    document(DocumentKind::Report, "A report", &["sections"], &own, &block_defs())
}

fn slides() -> Value {
    let slide = json!({
        "type": "object",
        "properties": {
            "title": line("The slide's title."),
            "layout": {"enum": ["content", "two_columns", "section"]},
            "blocks": blocks(),
            "notes": text("Notes for the speaker."),
        },
        "required": ["title"],
        "additionalProperties": false,
    });
    let own = json!({
        "subtitle": line("A subtitle."),
        "theme": {"enum": ["light", "dark"]},
        "language": language(),
        "slides": {"type": "array", "items": slide, "minItems": 1, "maxItems": max::SLIDES},
        "sources": sources(),
    });
    document(
        DocumentKind::Slides,
        "Slides; a title page is added automatically",
        &["slides"],
        &own,
        &block_defs(),
    )
}

fn website() -> Value {
    let path = json!({
        "type": "string", "minLength": 1, "maxLength": max::PATH_CHARS,
        "pattern": "^[A-Za-z0-9_@+][A-Za-z0-9_@~+.-]*(/[A-Za-z0-9_@+][A-Za-z0-9_@~+.-]*)*$",
        "description": "A relative path such as `assets/site.css`.",
    });
    let file = json!({
        "type": "object",
        "properties": {
            "path": path,
            "media_type": {"type": "string", "maxLength": 100,
                           "pattern": "^[a-z]+/[a-z0-9.+-]+(; ?charset=utf-8)?$"},
            "content": {"type": "string", "description": "The text of the file. Either this or `base64`."},
            "base64": {"type": "string", "description": "The bytes of the file."},
        },
        "required": ["path", "media_type"],
        "oneOf": [{"required": ["content"]}, {"required": ["base64"]}],
        "additionalProperties": false,
    });
    let own = json!({
        "entry": path,
        "files": {"type": "array", "items": file, "minItems": 1, "maxItems": max::FILES},
    });
    document(DocumentKind::Website, "A website of static files", &["entry", "files"], &own, &json!({}))
}

fn line(description: &str) -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": max::LINE_CHARS, "description": description})
}

fn text(description: &str) -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": max::TEXT_CHARS,
           "description": format!("{description} **bold**, *italic*, `code`, [words](https://...), [^source-id].")})
}

fn language() -> Value {
    json!({"type": "string", "maxLength": 35, "pattern": "^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$",
           "description": "A BCP 47 tag, such as `en`, `pt-BR`, `ar`."})
}

fn sources() -> Value {
    json!({
        "type": "array",
        "maxItems": max::SOURCES,
        "items": {
            "type": "object",
            "properties": {
                "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$",
                       "description": "Cited in texts as [^id]."},
                "url": {"type": "string", "maxLength": max::URL_CHARS, "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^\\s]+$"},
                "title": line("The source's title."),
                "accessed": {"type": "string", "format": "date", "description": "YYYY-MM-DD."},
                "quote": {"type": "string", "minLength": 1, "maxLength": max::QUOTE_CHARS,
                          "description": "The relevant passage, word for word."},
            },
            "required": ["id", "url", "title"],
            "additionalProperties": false,
        },
    })
}

fn blocks() -> Value {
    json!({"type": "array", "maxItems": max::BLOCKS, "items": {"$ref": "#/$defs/block"}})
}

fn block_defs() -> Value {
    let names = BLOCK_TYPES.map(|name| json!({"$ref": format!("#/$defs/{name}")}));
    let object = |name: &str, required: &[&str], own: Value| {
        let mut properties = json!({"type": {"const": name}});
        merge(&mut properties, &own);
        let mut names = vec!["type"];
        names.extend_from_slice(required);
        json!({"type": "object", "properties": properties, "required": names, "additionalProperties": false})
    };
    let cell = json!({"type": "string", "maxLength": 2000});
    let label = json!({"type": "string", "minLength": 1, "maxLength": 80});
    let value = json!({"type": ["number", "null"], "minimum": -max::MAGNITUDE, "maximum": max::MAGNITUDE});
    json!({
        "block": {"anyOf": names},
        "paragraph": object("paragraph", &["text"], json!({"text": text("Running text.")})),
        "list": object("list", &["items"], json!({
            "ordered": {"type": "boolean"},
            "items": {"type": "array", "items": text("An item."), "minItems": 1, "maxItems": max::ITEMS},
        })),
        "table": object("table", &["header", "rows"], json!({
            "caption": text("A caption of the table."),
            "header": {"type": "array", "items": cell, "minItems": 1, "maxItems": max::COLUMNS},
            "rows": {"type": "array", "minItems": 1, "maxItems": max::ROWS, "items":
                {"type": "array", "items": cell, "description": "As many cells as the header has."}},
            "align": {"type": "array", "items": {"enum": ["start", "center", "end"]},
                      "description": "One for each column. Optional."},
        })),
        "chart": object("chart", &["kind", "labels", "series"], json!({
            "caption": text("A caption of the chart."),
            "kind": {"enum": ["bar", "stacked_bar", "line", "area", "scatter", "pie"]},
            "labels": {"type": "array", "items": label, "minItems": 1, "maxItems": max::VALUES,
                       "description": "Along x, or the slices of a pie. For `scatter` each is a number, such as \"1.5\"."},
            "series": {"type": "array", "minItems": 1, "maxItems": max::SERIES, "items": {
                "type": "object",
                "properties": {
                    "name": label,
                    "values": {"type": "array", "items": value, "description": "As many as there are labels."},
                },
                "required": ["name", "values"],
                "additionalProperties": false,
            }},
            "unit": {"type": "string", "minLength": 1, "maxLength": 40},
            "x_title": label,
            "y_title": label,
        })),
        "quote": object("quote", &["text"], json!({
            "text": text("The quotation."),
            "source": text("The author of the quotation."),
        })),
        "code": object("code", &["text"], json!({
            "language": {"type": "string", "pattern": "^[A-Za-z0-9+#.-]{1,30}$"},
            "text": {"type": "string", "minLength": 1, "maxLength": max::CODE_CHARS},
        })),
        "callout": object("callout", &["text"], json!({
            "tone": {"enum": ["note", "success", "warning"]},
            "title": line("A heading."),
            "text": text("Something that the reader must not miss."),
        })),
    })
}
