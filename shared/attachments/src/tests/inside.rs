//! Files inside a message.

use super::*;

#[tokio::test]
async fn equal_files_inside_a_message_are_one_artifact_with_the_type_of_its_bytes() {
    let bench = Bench::new().await;
    let parts = vec![
        inline("application/octet-stream", PNG),
        inline("text/csv", b"a,b"),
        inline("image/png", PNG),
        inline("application/x-what", b"words"),
    ];
    let accepted =
        accept(&bench.store, &bench.caller, MessageContent::Parts(parts), None, &bench.abilities, "")
            .await
            .unwrap();
    let UserContent::Parts(parts) = accepted.prompt.content() else { panic!("it has parts") };
    let [UserPart::Image(first), UserPart::File(table), UserPart::Image(again), UserPart::File(words)] =
        parts.as_slice()
    else {
        panic!("{parts:?}")
    };
    assert_eq!(first, again);
    let types = [first, table, words].map(|file| file.media_type.as_str());
    assert_eq!(types, ["image/png", "text/csv", "text/plain"]);
    assert!(accepted.has_files());
}

#[tokio::test]
async fn files_inside_a_message_are_limited() {
    let bench = Bench::new().await;
    let large = vec![b'x'; MAX_INLINE_BYTES / 2 + 1];
    let key = Principal { scopes: [Scope::Chat].into_iter().collect(), ..bench.caller.clone() };
    let cases = [
        (
            &bench.caller,
            vec![inline("text/plain", &large), inline("text/plain", &large)],
            Code::AttachmentTooLarge,
        ),
        (&bench.caller, vec![inline("image/png", b"\0\x01")], Code::AttachmentTypeUnsupported),
        (&bench.caller, vec![inline("text/\u{fc}", b"a")], Code::AttachmentTypeUnsupported),
        (&bench.caller, vec![inline("image/png", PNG); 11], Code::TooManyAttachments),
        (&key, vec![inline("image/png", PNG)], Code::InsufficientScope),
    ];
    for (caller, parts, code) in cases {
        let content = MessageContent::Parts(parts);
        let refused = accept(&bench.store, caller, content, None, &bench.abilities, "").await.unwrap_err();
        assert_eq!(refused.details().code, code);
    }
    for url in ["data:image/png,x", "data:image/png;base64,%%", "data:", "https://a.example/", ""] {
        assert!(InlineFile::parse(url, None, None).is_none(), "{url}");
    }
}
