//! Fields of an answer that its model gets back with the calls of the answer.
//!
//! The protocol has none. Servers with reasoning models have added them under names of their own, and refuse or forget what
//! was reasoned if they are missing: the text of the reasoning under the name that it came with (DeepSeek, Moonshot, vLLM),
//! `reasoning_details` (OpenRouter, MiniMax), `thinking_blocks` (LiteLLM), and thought signatures in `extra_content` (Google).

use serde_json::Value;

use crate::wire::{
    json::{self, Object},
    provider_data,
    turns::{WireCall, WirePart},
};

/// The name of the field that the text of the reasoning came in.
const FIELD: &str = "field";
/// Lists that arrive in pieces.
const LISTS: [&str; 2] = ["reasoning_details", "thinking_blocks"];
/// Objects of a message or of a call.
const OBJECTS: [&str; 2] = ["extra_content", "provider_specific_fields"];
/// Fields of an element whose text arrives in pieces.
const TEXTS: [&str; 5] = ["text", "summary", "data", "thinking", "signature"];

/// Keeps the name of the field with the text of the reasoning.
pub(super) fn named(name: &str, kept: &mut Object) {
    kept.entry(FIELD).or_insert_with(|| name.into());
}

/// Keeps the fields of a message, or of a piece of one.
pub(super) fn of_message(message: &Object, kept: &mut Object) {
    for name in LISTS {
        for piece in json::elements(message.get(name)).iter().filter_map(Value::as_object) {
            let list = kept.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                add(list, piece);
            }
        }
    }
    kept.extend(objects(message));
}

/// Returns the fields of a call, or of a piece of one.
pub(super) fn of_call(call: &Object) -> Object {
    objects(call).collect()
}

fn objects(of: &Object) -> impl Iterator<Item = (String, Value)> {
    let filled = |name: &&str| json::object(of, name).is_some_and(|object| !object.is_empty());
    OBJECTS.into_iter().filter(filled).map(|name| (name.to_owned(), of[name].clone()))
}

/// Adds a piece of an element to the last one, or begins another one.
fn add(list: &mut Vec<Value>, piece: &Object) {
    let last = list.last_mut().and_then(Value::as_object_mut).filter(|last| continues(last, piece));
    let Some(last) = last else { return list.push(Value::Object(piece.clone())) };
    for (name, value) in piece.iter().filter(|(_, value)| !value.is_null()) {
        match (last.get_mut(name), value) {
            (Some(Value::String(text)), Value::String(more)) if TEXTS.contains(&name.as_str()) => {
                text.push_str(more);
            }
            _ => {
                last.insert(name.clone(), value.clone());
            }
        }
    }
}

fn continues(last: &Object, piece: &Object) -> bool {
    let same = |name: &str| last.get(name) == piece.get(name);
    let differs = |name: &str| piece.get(name).is_some_and(|value| !value.is_null()) && !same(name);
    // A signature is the end of an element without an index.
    let is_sealed = last.get("signature").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    same("type") && same("index") && !differs("id") && (piece.contains_key("index") || !is_sealed)
}

/// Adds the kept fields of an answer to the message that repeats it.
pub(super) fn restore(parts: &[WirePart], message: &mut Value) {
    let blocks = || parts.iter().filter_map(WirePart::reasoning);
    let names = LISTS.into_iter().chain(OBJECTS);
    for (name, value) in
        names.flat_map(|name| blocks().filter_map(move |block| block.data.get_key_value(name)))
    {
        message[name] = value.clone();
    }
    let has_list = LISTS.iter().any(|name| !message[*name].is_null());
    let field = blocks().find_map(|block| block.data.get(FIELD)?.as_str()).filter(|_| !has_list);
    if let Some(field) = field {
        message[field] = blocks().map(|block| block.text.as_str()).collect::<String>().into();
    }
}

/// Adds the kept fields of a call to the call that repeats it.
pub(super) fn restore_call(call: &WireCall, encoded: &mut Value) {
    for (name, value) in call.data.iter().filter(|(name, _)| name.as_str() != provider_data::ID) {
        encoded[name] = value.clone();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(pieces: &[Value]) -> Object {
        let mut kept = Object::new();
        pieces.iter().for_each(|piece| of_message(piece.as_object().unwrap(), &mut kept));
        kept
    }

    #[test]
    fn elements_that_arrive_in_pieces_are_put_together() {
        let detail = |index: u32, kind: &str, name: &str, piece: &str| json!({"reasoning_details": [{"type": kind, "index": index, name: piece, "format": null}]});
        let details = kept(&[
            detail(0, "reasoning.text", "text", "Hm, "),
            detail(0, "reasoning.text", "text", "yes."),
            detail(0, "reasoning.text", "signature", "c2ln"),
            detail(1, "reasoning.encrypted", "data", "ZW5j"),
        ]);
        let expected = json!({"reasoning_details": [
            {"type": "reasoning.text", "index": 0, "text": "Hm, yes.", "signature": "c2ln", "format": null},
            {"type": "reasoning.encrypted", "index": 1, "data": "ZW5j", "format": null},
        ]});
        assert_eq!(Value::Object(details), expected);

        let block = |text: &str, signature: &str| json!({"thinking_blocks": [{"type": "thinking", "thinking": text, "signature": signature}]});
        let blocks = kept(&[block("a", ""), block("b", "c2ln"), block("c", "eA==")]);
        let expected = json!({"thinking_blocks": [
            {"type": "thinking", "thinking": "ab", "signature": "c2ln"},
            {"type": "thinking", "thinking": "c", "signature": "eA=="},
        ]});
        assert_eq!(Value::Object(blocks), expected);
    }

    #[test]
    fn the_text_goes_back_under_its_name_unless_a_list_has_it() {
        let block = |text: &str, data: Value| {
            let data = data.as_object().cloned().unwrap();
            WirePart::Reasoning(crate::wire::turns::WireReasoning { text: text.to_owned(), data })
        };
        let restored = |data: Value| {
            let mut message = json!({});
            restore(&[block("Hm, ", json!({})), block("yes.", json!({})), block("", data)], &mut message);
            message
        };
        assert_eq!(restored(json!({"field": "reasoning"})), json!({"reasoning": "Hm, yes."}));
        let list = json!([{"type": "reasoning.text", "text": "Hm, yes."}]);
        let both = json!({"field": "reasoning", "reasoning_details": list});
        assert_eq!(restored(both), json!({"reasoning_details": list}));
    }
}
