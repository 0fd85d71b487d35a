//! Converts what a server returns to the text that a model reads.
//!
//! A result is read part by part: one that is malformed does not hide the others.

use sequent_tool::{Tool, cut};
use serde_json::Value;

/// Bytes of the structured content of a result, or of a resource in it, at most.
const MAX_PART: usize = 32 << 10;

/// Returns the result of a call. Structured content is shown beside the text that does not repeat it. Parts that are not
/// text are described, so that the model knows about them.
pub(crate) fn of_call(result: &Value) -> String {
    let blocks = blocks(&result["content"]);
    let said = joined(blocks.iter().map(|block| of_block(block)));
    let structured = result.get("structuredContent").filter(|value| !value.is_null());
    match structured {
        Some(value) if !repeats(&blocks, value) => {
            let value = cut(value.to_string(), MAX_PART, usize::MAX, "the structured content");
            if said.is_empty() {
                return value;
            }
            // The text has the rest of the space, because a result is cut at its end.
            let rest = Tool::MAX_RESULT_BYTES.saturating_sub(value.len() + 64);
            let said = cut(said, rest, usize::MAX, "the text");
            format!("{said}\n\nStructured content: {value}")
        }
        Some(_) => said,
        None if said.is_empty() && !result.is_object() => result.to_string(),
        None => said,
    }
}

/// Returns the contents of a resource.
pub(crate) fn of_resource(result: &Value) -> String {
    let contents = blocks(&result["contents"]);
    joined(contents.into_iter().map(of_contents))
}

/// Returns the messages of a prompt.
pub(crate) fn of_prompt(result: &Value) -> String {
    let message = |message: &&Value| {
        let said = joined(blocks(&message["content"]).into_iter().map(of_block));
        format!("{}: {said}", message["role"].as_str().unwrap_or("user"))
    };
    let description = result["description"].as_str().map(str::to_owned);
    let messages = blocks(&result["messages"]);
    joined(description.into_iter().chain(messages.iter().map(message)))
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// Returns the parts of a list. Some servers have one part, or its text, in place of the list.
fn blocks(content: &Value) -> Vec<&Value> {
    match content {
        Value::Array(blocks) => blocks.iter().collect(),
        Value::Object(_) | Value::String(_) => vec![content],
        _ => Vec::new(),
    }
}

fn of_block(block: &Value) -> String {
    let text = |name: &str| block[name].as_str();
    match (block, text("type")) {
        (Value::String(text), _) => text.clone(),
        (_, Some("text")) => match &block["text"] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        },
        (_, Some(kind @ ("image" | "audio"))) => {
            describe(kind, text("mimeType"), text("data").unwrap_or_default())
        }
        (_, Some("resource")) => of_contents(&block["resource"]),
        (_, Some("resource_link")) => link(block),
        (_, Some(kind)) => format!("[content of the kind {kind:?}: not shown]"),
        (_, None) => "[content of an unknown kind: not shown]".to_owned(),
    }
}

fn link(link: &Value) -> String {
    let text = |name: &str| link[name].as_str().filter(|text| !text.is_empty());
    let uri = text("uri").unwrap_or_default();
    let mut shown = format!("[{}]({uri})", text("title").or(text("name")).unwrap_or(uri));
    for detail in [
        text("mimeType").map(|mime| format!(", {mime}")),
        text("description").map(|text| format!(": {text}")),
    ] {
        shown.extend(detail);
    }
    shown
}

fn of_contents(contents: &Value) -> String {
    let text = |name: &str| contents[name].as_str();
    let uri = text("uri").unwrap_or("a resource without address");
    match (text("text"), text("blob")) {
        (Some(said), _) => {
            let mime = text("mimeType").map(|mime| format!(", {mime}")).unwrap_or_default();
            format!("[{uri}{mime}]\n{}", cut(said.to_owned(), MAX_PART, usize::MAX, "the resource"))
        }
        (None, Some(blob)) => describe(uri, text("mimeType"), blob),
        (None, None) => format!("[{uri}: without content]"),
    }
}

fn describe(what: &str, mime: Option<&str>, base64: &str) -> String {
    let kind = mime.unwrap_or("of unknown type");
    format!("[{what}, {kind}, {} bytes: not shown]", base64.len() / 4 * 3)
}

/// Returns `true` if the texts repeat structured content: one of them is its JSON, or each of them an element of its list.
fn repeats(blocks: &[&Value], value: &Value) -> bool {
    let texts: Vec<&str> =
        blocks.iter().filter_map(|block| block["text"].as_str().or(block.as_str())).collect();
    let is_list = unwrapped(value).as_array().is_some_and(|list| {
        list.len() == texts.len() && list.iter().zip(&texts).all(|(element, text)| is_said(text, element))
    });
    is_list || texts.iter().any(|text| is_said(text, value) || is_said(text, unwrapped(value)))
}

fn is_said(text: &str, value: &Value) -> bool {
    let text = text.trim();
    value.as_str() == Some(text) || serde_json::from_str::<Value>(text).is_ok_and(|said| said == *value)
}

/// Returns the value in an object with one member. SDKs wrap what is no object in the member `result`.
fn unwrapped(value: &Value) -> &Value {
    match value.as_object().map(|members| (members.len(), members.get("result"))) {
        Some((1, Some(result))) => result,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_part_of_a_result_is_text_or_described() {
        let text = of_call(&json!({"content": [
            {"type": "text", "text": "Here it is."},
            {"type": "image", "data": "QUJD", "mimeType": "image/png"},
            {"type": "audio", "data": "QUJDQUJD", "mimeType": "audio/wav"},
            {"type": "resource", "resource": {"uri": "notes://1", "text": "Buy milk", "mimeType": "text/markdown"}},
            {"type": "resource", "resource": {"uri": "notes://2", "blob": "QUJD"}},
            {"type": "resource_link", "uri": "notes://3", "name": "Third", "mimeType": "text/plain", "description": "Of May."},
            {"type": "resource"},
            {"type": "text", "text": 7},
            {"type": "hologram"},
            9,
        ]}));
        let expected = "Here it is.\n\n[image, image/png, 3 bytes: not shown]\n\n\
            [audio, audio/wav, 6 bytes: not shown]\n\n[notes://1, text/markdown]\nBuy milk\n\n\
            [notes://2, of unknown type, 3 bytes: not shown]\n\n[Third](notes://3), text/plain: Of May.\n\n\
            [a resource without address: without content]\n\n7\n\n[content of the kind \"hologram\": not shown]\n\n\
            [content of an unknown kind: not shown]";
        assert_eq!(text, expected);
        for (content, text) in [
            (json!("Done."), "Done."),
            (json!({"type": "text", "text": "Done."}), "Done."),
            (json!(null), ""),
        ] {
            assert_eq!(of_call(&json!({"content": content})), text);
        }
        assert_eq!(of_call(&json!([1, 2])), "[1,2]");
    }

    #[test]
    fn structured_content_is_shown_beside_a_text_that_does_not_repeat_it() {
        let of = |texts: &[&str], structured: &Value| {
            let content: Vec<Value> =
                texts.iter().map(|text| json!({"type": "text", "text": text})).collect();
            of_call(&json!({"content": content, "structuredContent": structured}))
        };
        let items = json!({"items": [{"id": 1}, {"id": 2}, {"id": 3}]});
        assert_eq!(of(&["Found 3 items."], &items), format!("Found 3 items.\n\nStructured content: {items}"));
        assert_eq!(of(&[], &items), items.to_string());
        let pretty = serde_json::to_string_pretty(&items).unwrap();
        assert_eq!(of(&[&pretty], &items), pretty);
        assert_eq!(of(&["See:", &pretty], &items), format!("See:\n\n{pretty}"));
        assert_eq!(of(&["5"], &json!({"result": 5})), "5");
        assert_eq!(of(&["five"], &json!({"result": "five"})), "five");
        assert_eq!(of(&["1", "two"], &json!({"result": [1, "two"]})), "1\n\ntwo");
        assert_eq!(
            of(&["1"], &json!({"result": [1, "two"]})),
            "1\n\nStructured content: {\"result\":[1,\"two\"]}"
        );
        assert_eq!(of(&["x"], &Value::Null), "x");
    }

    #[test]
    fn a_long_text_leaves_room_for_the_structured_content() {
        let content = json!([{"type": "text", "text": "x".repeat(200_000)}]);
        let small = of_call(&json!({"content": content, "structuredContent": {"n": 1}}));
        assert!(small.len() <= Tool::MAX_RESULT_BYTES && small.ends_with("Structured content: {\"n\":1}"));
        let large = of_call(&json!({"content": content, "structuredContent": {"n": "y".repeat(200_000)}}));
        assert!(large.len() <= Tool::MAX_RESULT_BYTES && large.contains("[Cut: the structured content has "));
    }

    #[test]
    fn resources_and_prompts_are_text() {
        let contents = json!({"contents": [{"uri": "notes://1", "text": "Buy milk"}, {"uri": "notes://2", "blob": "QUJD", "mimeType": "image/png"}]});
        assert_eq!(
            of_resource(&contents),
            "[notes://1]\nBuy milk\n\n[notes://2, image/png, 3 bytes: not shown]"
        );
        let prompt = json!({"description": "Reviews.", "messages": [
            {"role": "user", "content": {"type": "text", "text": "Review this."}},
            {"role": "assistant", "content": [{"type": "text", "text": "Which?"}]}, 7]});
        assert_eq!(of_prompt(&prompt), "Reviews.\n\nuser: Review this.\n\nassistant: Which?\n\nuser: ");
    }
}
