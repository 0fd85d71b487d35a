use proptest::prelude::*;

use super::*;

type Owned = (String, String, bool);

/// The frames of a body that arrives in pieces.
fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Owned>, Error> {
    let mut framing = SseFraming::default();
    let mut found = Vec::new();
    let mut sink = |frame: Frame<'_>| {
        found.push((frame.event.to_owned(), frame.data.to_owned(), frame.is_whole));
        Ok(())
    };
    for piece in pieces {
        framing.push(piece, &mut sink)?;
    }
    framing.end(&mut sink)?;
    Ok(found)
}

fn data(body: &str) -> Vec<String> {
    frames([body.as_bytes()]).unwrap().into_iter().map(|(_, data, _)| data).collect()
}

#[test]
fn lines_end_with_lf_cr_or_both() {
    for end in ["\n", "\r", "\r\n"] {
        let body = "event: a\ndata: 1\n\n: a comment\n\ndata:2\ndata: 3\n\n".replace('\n', end);
        let expected = [("a".into(), "1".into(), true), (String::new(), "2\n3".into(), true)];
        assert_eq!(frames([body.as_bytes()]).unwrap(), expected, "{end:?}");
        let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        assert_eq!(frames(bytes).unwrap(), expected, "{end:?}");
    }
}

#[test]
fn the_last_event_needs_no_blank_line() {
    let expected = |whole: bool| (String::new(), "2".to_owned(), whole);
    assert_eq!(frames([&b"data: 1\n\ndata: 2"[..]]).unwrap()[1], expected(false));
    assert_eq!(frames([&b"data: 1\n\ndata: 2\n\n"[..]]).unwrap()[1], expected(true));
}

#[test]
fn servers_deviate_from_the_standard() {
    assert_eq!(data("\u{feff}data: 1\n\n"), ["1"], "a byte order mark");
    assert_eq!(data("data: data: 1\n\n"), ["1"], "a field name twice");
    assert_eq!(data("{\n \"error\": {\n  \"code\": 1\n }\n}\n"), ["{\n \"error\": {\n  \"code\": 1\n }\n}"]);
    assert_eq!(data("data: 1\n\n{\"error\":\"a: b\"}\n\ndata: 2\n\n"), ["1", "{\"error\":\"a: b\"}", "2"]);
    assert_eq!(data("{\"a\":1}\ndata: 2\n\n"), ["{\"a\":1}", "2"]);
    let error = frames([&b"error: {\"code\":400}\n\n"[..]]).unwrap();
    assert_eq!(error, [("error".to_owned(), "{\"code\":400}".to_owned(), true)]);
    assert_eq!(data("id: 7\nretry: 10\nevent: ping\n\nother: 1\n\n"), [""; 0]);
}

#[test]
fn a_page_is_noise() {
    let mut framing = SseFraming::default();
    framing.push(b"<html>\n\n<p>Sign in</p></html>", &mut |_| Ok(())).unwrap();
    framing.end(&mut |_| Ok(())).unwrap();
    assert!(framing.is_only_noise());
}

#[test]
fn bytes_that_are_not_utf8_are_an_error_or_a_cut() {
    assert_eq!(frames([&b"data: \xff\n\n"[..]]).unwrap_err().code(), "model_garbage");
    assert_eq!(frames([&b"data: \xe6\x97"[..]]), Err(Error::Truncated));
    assert_eq!(frames([&b"data: \xe6\x97\n\n"[..]]).unwrap_err().code(), "model_garbage");
}

proptest! {
    #[test]
    fn a_split_changes_nothing(
        lines in prop::collection::vec("(data: ?|event: |: |id: |\\{|)[ -~é日🦀]{0,12}", 0..12),
        ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n"]), 12),
        cuts in prop::collection::vec(1..20_usize, 0..40),
    ) {
        let body: String = lines.iter().zip(&ends).flat_map(|(line, end)| [line.as_str(), end]).collect();
        let bytes = body.as_bytes();
        let mut pieces = Vec::new();
        let mut rest = bytes;
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        prop_assert_eq!(frames(pieces), frames([bytes]));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = frames([&bytes[..]]);
    }
}
