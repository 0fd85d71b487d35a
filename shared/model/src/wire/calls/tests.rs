use super::*;

fn piece(index: Option<u64>, id: &str, name: &str, arguments: &str) -> Piece {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let arguments = ArgumentPiece::Part(arguments.to_owned());
    Piece { index, id: text(id), name: text(name), arguments, ..Piece::default() }
}

/// The calls that pieces give, as `id:name:arguments`.
fn calls(pieces: &[(Option<u64>, &str, &str, &str)]) -> Result<Vec<String>, Error> {
    let mut calls = Calls::default();
    let mut out = Vec::new();
    for (index, id, name, arguments) in pieces {
        calls.take(piece(*index, id, name, arguments), &mut out)?;
    }
    calls.end(&mut out)?;
    let mut found: Vec<(String, String)> = Vec::new();
    for raw in out {
        let Raw::Chunk(chunk) = raw else { continue };
        match chunk {
            Chunk::ToolCallStart { id, name } => found.push((id.clone(), format!("{id}:{name}:"))),
            Chunk::ToolCallDelta { id, arguments } => {
                let call = found.iter_mut().find(|(known, _)| *known == id);
                call.expect("a call is announced before its arguments").1.push_str(&arguments);
            }
            _ => {}
        }
    }
    Ok(found.into_iter().map(|(_, call)| call).collect())
}

#[test]
fn pieces_find_their_call_by_index() {
    let pieces = [
        (Some(0), "a", "one", ""),
        (Some(0), "", "", "{\"x"),
        (Some(1), "b", "two", "{}"),
        (Some(0), "", "", "\":1}"),
    ];
    assert_eq!(calls(&pieces).unwrap(), ["a:one:{\"x\":1}", "b:two:{}"]);
    let from_one = [(Some(1), "a", "one", "{}"), (Some(2), "b", "one", "{}")];
    assert_eq!(calls(&from_one).unwrap(), ["a:one:{}", "b:one:{}"]);
}

#[test]
fn pieces_without_index_find_their_call_by_id_or_order() {
    let by_id = [(None, "a", "one", "{"), (None, "b", "one", "{}"), (None, "a", "", "}")];
    assert_eq!(calls(&by_id).unwrap(), ["a:one:{}", "b:one:{}"]);
    let by_order = [(None, "", "one", "{"), (None, "", "", "}"), (None, "", "two", "{}")];
    assert_eq!(calls(&by_order).unwrap(), ["call_0:one:{}", "call_1:two:{}"]);
    let random_ids = [(None, "a", "one", "{\"x\""), (None, "b", "", ":1"), (None, "c", "", "}")];
    assert_eq!(calls(&random_ids).unwrap(), ["a:one:{\"x\":1}"]);
    let ids_first = [(None, "a", "", ""), (None, "", "one", ""), (None, "", "", "{}")];
    assert_eq!(calls(&ids_first).unwrap(), ["a:one:{}"]);
    let twice = [(None, "", "one", "{}"), (None, "", "one", "{}")];
    assert_eq!(calls(&twice).unwrap(), ["call_0:one:{}", "call_1:one:{}"]);
}

#[test]
fn ids_of_chunks_are_unique() {
    let same = [(Some(0), "x", "one", "{}"), (Some(1), "x", "two", "{}"), (Some(2), "", "two", "{}")];
    assert_eq!(calls(&same).unwrap(), ["x:one:{}", "call_1:two:{}", "call_2:two:{}"]);
}

#[test]
fn arguments_may_be_repeated_or_null() {
    let repeated = [(Some(0), "a", "one", "{\"x\":1}"), (Some(0), "a", "", "{\"x\":1}")];
    assert_eq!(calls(&repeated).unwrap(), ["a:one:{\"x\":1}"]);
    assert_eq!(calls(&[(Some(0), "a", "one", "null")]).unwrap(), ["a:one:"]);
}

#[test]
fn what_belongs_to_no_call_is_an_invalid_answer() {
    for pieces in [
        &[(None, "", "", "{}")][..],
        &[(Some(3), "", "", "{}")],
        &[(Some(0), "a", "", "{}")],
        &[(Some(0), "a", "one", "{"), (Some(0), "a", "two", "}")],
    ] {
        assert_eq!(calls(pieces).unwrap_err().code(), "model_garbage", "{pieces:?}");
    }
    let ids: Vec<_> = (0..=MAX_CALLS).map(|n| format!("id{n}")).collect();
    let many: Vec<_> = ids.iter().map(|id| (None, id.as_str(), "t", "{}")).collect();
    assert!(calls(&many).is_err());
    assert!(calls(&many[..MAX_CALLS]).is_ok());
}
