use proptest::prelude::*;

use serde_json::{Value, json};

use super::*;
use crate::{FileBytes, FileType, Reasoning};

fn user(text: &str) -> WireTurn {
    WireTurn::of_person(text)
}

fn of(messages: &[Message]) -> Vec<WireTurn> {
    super::of(&Request::new(model(), messages.to_vec()), &Omitted::default())
}

fn model() -> ModelName {
    "claude-sonnet-4-6".parse().unwrap()
}

fn assistant(text: &str, ids: &[&str]) -> WireTurn {
    let calls = ids.iter().map(|id| wire_call(id, Object::new()));
    let text = (!text.is_empty()).then(|| WirePart::Text(text.to_owned()));
    WireTurn::Assistant(text.into_iter().chain(calls).collect())
}

fn wire_call(id: &str, data: Object) -> WirePart {
    WirePart::Call(WireCall {
        id: id.to_owned(),
        name: "search".to_owned(),
        arguments: "{}".to_owned(),
        data,
    })
}

fn call(id: &str) -> ToolCall {
    ToolCall::new(id, "search", "{}")
}

/// A call of `model` with the provider's id `own`.
fn call_of(model: &str, id: &str, own: &str) -> Part {
    let data = Some(json!({"id": own}).to_string());
    Part::ToolCall(ToolCall { origin: Some(Origin { model: model.parse().unwrap(), data }), ..call(id) })
}

fn reasoning_of(model: &str, text: &str, data: &Value) -> Part {
    let origin = Origin { model: model.parse().unwrap(), data: Some(data.to_string()) };
    Part::Reasoning(Reasoning { text: text.to_owned(), origin })
}

fn spoken(text: &str) -> Part {
    Part::Text { text: text.to_owned() }
}

fn calling(text: &str, ids: &[&str]) -> Message {
    let spoken = Part::Text { text: text.to_owned() };
    let calls = ids.iter().map(|id| Part::ToolCall(call(id)));
    Message { role: Role::Assistant, parts: std::iter::once(spoken).chain(calls).collect() }
}

fn result(id: &str, content: &str) -> ToolResult {
    ToolResult { call_id: id.to_owned(), content: content.to_owned() }
}

#[test]
fn a_turn_without_an_answer_is_a_part_of_the_next() {
    let messages =
        [Message::user("one"), Message::user(" \n"), Message::user("two"), Message::assistant("\n")];
    assert_eq!(of(&messages), [user("one\n\ntwo")]);
    let messages = [Message::user("a"), Message::assistant("b"), Message::assistant("c"), Message::user("d")];
    assert_eq!(of(&messages), [user("a"), assistant("b\n\nc", &[]), user("d")]);
}

#[test]
fn results_come_together_in_the_order_of_the_calls_and_before_the_text() {
    let messages = [
        Message::user("go"),
        calling("", &["a", "b", "c"]),
        Message::tool_result("c", "3"),
        Message::user("faster"),
        Message::tool_result("a", "1"),
        Message::tool_result("z", "of nothing"),
    ];
    let results = vec![result("a", "1"), result("b", NOT_CARRIED_OUT), result("c", "3")];
    let expected = [
        user("go"),
        assistant("", &["a", "b", "c"]),
        WireTurn::User { results, files: Vec::new(), text: "faster".to_owned() },
    ];
    assert_eq!(of(&messages), expected);
}

#[test]
fn the_files_of_a_side_come_before_its_text_and_a_file_without_bytes_is_only_described() {
    let file = |name: &str| AttachedFile::described("art_1", format!("[attached: {name}]"));
    let shown = AttachedFile { bytes: Some(FileBytes::new(FileType::Png, vec![1])), ..file("a.png") };
    let parts = vec![Part::File(file("b.png")), Part::File(shown.clone())];
    let messages = [Message::user("Compare:"), Message { role: Role::User, parts }];
    let text = "Compare:\n\n[attached: b.png]\n\n[attached: a.png]".to_owned();
    assert_eq!(of(&messages), [WireTurn::User { results: Vec::new(), files: vec![shown], text }]);
}

#[test]
fn a_conversation_begins_and_ends_with_a_person() {
    assert_eq!(of(&[Message::assistant("a")]), [user(OMITTED), assistant("a", &[]), user(CONTINUE)]);
    let messages = [Message::tool_result("a", "of nothing"), calling("b", &["b"])];
    let results = vec![result("b", NOT_CARRIED_OUT)];
    let last = WireTurn::User { results, files: Vec::new(), text: String::new() };
    assert_eq!(of(&messages), [user(OMITTED), assistant("b", &["b"]), last]);
}

#[test]
fn the_model_that_reasoned_gets_its_reasoning_at_its_place_and_other_models_none() {
    let seal = json!({"signature": "c2ln"});
    let parts = |model: &str| {
        vec![
            reasoning_of(model, "Hm.", &seal),
            spoken("Let me "),
            reasoning_of(model, "", &json!({"redacted": "eA=="})),
            spoken("look."),
            call_of(model, "a", "toolu_1"),
        ]
    };
    let messages = |model: &str| {
        let asked = Message { role: Role::Assistant, parts: parts(model) };
        [Message::user("Why?"), asked, Message::tool_result("a", "1")]
    };
    let block = |text: &str, data: Value| {
        let data = data.as_object().cloned().unwrap();
        WirePart::Reasoning(WireReasoning { text: text.to_owned(), data })
    };
    let own = json!({"id": "toolu_1"}).as_object().cloned().unwrap();
    let expected = WireTurn::Assistant(vec![
        block("Hm.", seal.clone()),
        WirePart::Text("Let me ".to_owned()),
        block("", json!({"redacted": "eA=="})),
        WirePart::Text("look.".to_owned()),
        wire_call("toolu_1", own),
    ]);
    let results =
        |id: &str| WireTurn::User { results: vec![result(id, "1")], files: Vec::new(), text: String::new() };
    let turns = of(&messages("anthropic/claude-sonnet-4-6"));
    assert_eq!(turns, [user("Why?"), expected, results("toolu_1")]);
    for other in ["claude-opus-4-6", "openai/claude-sonnet-4-6"] {
        assert_eq!(of(&messages(other)), [user("Why?"), assistant("Let me look.", &["a"]), results("a")]);
    }
}

#[test]
fn an_own_id_that_two_calls_have_is_replaced_by_ours() {
    let model = "claude-sonnet-4-6";
    let asked = |id: &str, own: &str| Message { role: Role::Assistant, parts: vec![call_of(model, id, own)] };
    let messages = [
        Message::user("go"),
        asked("a", "search:0"),
        Message::tool_result("a", "1"),
        asked("b", "search:0"),
        Message::tool_result("b", "2"),
        asked("c", "search:1"),
        Message::tool_result("c", "3"),
    ];
    let turns = of(&messages);
    let ids: Vec<&str> = turns
        .iter()
        .flat_map(|turn| match turn {
            WireTurn::User { results, .. } => {
                results.iter().map(|result| result.call_id.as_str()).collect::<Vec<_>>()
            }
            WireTurn::Assistant(parts) => {
                parts.iter().filter_map(WirePart::call).map(|call| call.id.as_str()).collect()
            }
        })
        .collect();
    assert_eq!(ids, ["a", "a", "b", "b", "search:1", "search:1"]);
}

fn any_message() -> impl Strategy<Value = Message> {
    let text = prop::sample::select(vec!["", " ", "\n", "word"]);
    let id = prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        text.clone().prop_map(Message::user),
        text.clone().prop_map(Message::assistant),
        (text, prop::collection::btree_set(id.clone(), 0..3))
            .prop_map(|(text, ids)| calling(text, &ids.into_iter().collect::<Vec<_>>())),
        id.prop_map(|id| Message::tool_result(id, "done")),
    ]
}

proptest! {
    #[test]
    fn every_conversation_has_the_form_that_servers_accept(messages in prop::collection::vec(any_message(), 0..12)) {
        let turns = of(&messages);
        let is_user = |turn: &WireTurn| matches!(turn, WireTurn::User { .. });
        prop_assert!(turns.first().is_some_and(is_user) && turns.last().is_some_and(is_user), "{turns:?}");
        for pair in turns.windows(2) {
            prop_assert!(is_user(&pair[0]) != is_user(&pair[1]), "{turns:?}");
            if let [WireTurn::Assistant(parts), WireTurn::User { results, .. }] = pair {
                let made: Vec<&str> = parts.iter().filter_map(WirePart::call).map(|call| call.id.as_str()).collect();
                let brought: Vec<&str> = results.iter().map(|result| result.call_id.as_str()).collect();
                prop_assert_eq!(made, brought);
            }
        }
        for turn in &turns {
            match turn {
                WireTurn::User { results, files, text } => {
                    prop_assert!(!text.trim().is_empty() || (text.is_empty() && !(results.is_empty() && files.is_empty())), "{turns:?}");
                }
                WireTurn::Assistant(parts) => {
                    let mut texts = parts.iter().filter_map(WirePart::text);
                    prop_assert!(!parts.is_empty() && texts.all(|text| !text.trim().is_empty()), "{turns:?}");
                }
            }
        }
    }
}
