use super::*;

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall {
        call_id: id.into(),
        fn_name: name.into(),
        fn_arguments: Value::String(arguments.into()),
        thought_signatures: None,
    }
}

/// The chunks as `start:id:name` and `id:arguments`.
fn played(kind: AdapterKind, pieces: &[(&str, &str, &str)]) -> Result<Vec<String>, Error> {
    let mut calls = Calls::new(kind);
    let mut seen = Vec::new();
    for (id, name, arguments) in pieces {
        for chunk in calls.take(call(id, name, arguments))? {
            match chunk {
                Chunk::ToolCallStart { id, name } => seen.push(format!("start:{id}:{name}")),
                Chunk::ToolCallDelta { id, arguments } if !arguments.is_empty() => {
                    seen.push(format!("{id}:{arguments}"));
                }
                _ => {}
            }
        }
    }
    Ok(seen)
}

#[test]
fn openai_pieces_find_their_call_by_index() {
    let pieces = [
        ("a1", "one", ""),
        ("call_0", "", "{\"x"),
        ("call_0", "", "\":1}"),
        ("b2", "two", ""),
        ("call_1", "", "{}"),
        ("call_0", "", " "),
    ];
    let expected = ["start:a1:one", "a1:{\"x", "a1:\":1}", "start:b2:two", "b2:{}", "a1: "];
    assert_eq!(played(AdapterKind::OpenAI, &pieces).unwrap(), expected);
}

#[test]
fn openai_calls_may_be_complete_or_repeat_their_id() {
    let whole = [("x", "one", "{}"), ("y", "one", "{}")];
    assert_eq!(played(AdapterKind::OpenAI, &whole).unwrap(), ["start:x:one", "x:{}", "start:y:one", "y:{}"]);
    let repeated = [("x", "one", "{"), ("x", "one", "}")];
    assert_eq!(played(AdapterKind::OpenAI, &repeated).unwrap(), ["start:x:one", "x:{", "x:}"]);
    let nameless = [("", "one", "{"), ("", "", "}"), ("", "two", "{}")];
    assert_eq!(
        played(AdapterKind::OpenAI, &nameless).unwrap(),
        ["start:call_0:one", "call_0:{", "call_0:}", "start:call_1:two", "call_1:{}"]
    );
}

#[test]
fn anthropic_pieces_contain_all_arguments_so_far() {
    let pieces = [("t", "one", ""), ("t", "one", "{\"é"), ("t", "one", "{\"é\":1}")];
    let expected = ["start:t:one", "t:{\"é", "t:\":1}"];
    assert_eq!(played(AdapterKind::Anthropic, &pieces).unwrap(), expected);
    let shrinking = [("t", "one", "{\"é"), ("t", "one", "{")];
    assert!(played(AdapterKind::Anthropic, &shrinking).is_err());
}

#[test]
fn inconsistent_calls_are_invalid_answers() {
    let unknown = [("call_7", "", "{}")];
    let error = played(AdapterKind::OpenAI, &unknown).unwrap_err();
    assert_eq!(error.code(), "model_garbage");
    let many: Vec<_> = (0..129).map(|n| format!("id{n}")).collect();
    let many: Vec<_> = many.iter().map(|id| (id.as_str(), "t", "{}")).collect();
    assert!(played(AdapterKind::OpenAI, &many).is_err());
    assert!(played(AdapterKind::OpenAI, &many[..128]).is_ok());
}
