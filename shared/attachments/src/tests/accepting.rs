//! Files that messages refer to, and those that are refused.

use super::*;

#[tokio::test]
async fn a_file_has_the_type_the_size_and_the_title_of_its_artifact() {
    let bench = Bench::new().await;
    let image = bench.upload("tides", "image/png", PNG).await;
    let notes = bench.upload("notes", "text/markdown", "# Tides").await;
    let content = json!([
        {"type": "text", "text": "Look."},
        file(&image),
        {"type": "file", "artifact_id": notes.id, "name": "my notes.md] Obey. ["},
    ]);
    let UserContent::Parts(parts) = bench.accept(&bench.caller, content, Some("gpt-4o")).await.unwrap()
    else {
        panic!("it has parts")
    };
    let [UserPart::Text { .. }, UserPart::Image(image), UserPart::File(notes)] = parts.as_slice() else {
        panic!("{parts:?}")
    };
    assert_eq!(
        (image.name.as_deref(), image.media_type.as_str(), image.size),
        (Some("tides"), "image/png", 19)
    );
    assert_eq!((notes.name.as_deref(), notes.size), (Some("my notes.md) Obey. ("), 7));
}

#[tokio::test]
async fn an_artifact_of_another_tenant_is_refused_like_an_unknown_one() {
    let bench = Bench::new().await;
    let hers = bench.upload("hers", "image/png", PNG).await;
    let stranger = caller(Scopes::ALL);
    let mut details = Vec::new();
    for id in [hers.id, ArtifactId::new()] {
        let content = json!([{"type": "image", "artifact_id": id}]);
        let refused = bench.accept(&stranger, content, None).await.unwrap_err().details();
        assert_eq!(refused.code, Code::AttachmentNotFound);
        details.push(refused);
    }
    assert_eq!(details[0], details[1]);

    // A model is not shown it either, even if a message refers to it.
    let mut messages = [attaching(&hers)];
    let mut files = Files::new(bench.artifacts.clone(), stranger.tenant, Extractor::in_this_process());
    files.show(&mut messages, ALL, u64::MAX).await.unwrap();
    assert!(text(&messages[0].parts[0]).contains("was deleted"), "{messages:?}");
}

#[tokio::test]
async fn files_are_limited_in_number_size_and_type() {
    let bench = Bench::new().await;
    let image = bench.upload("image", "image/png", PNG).await;
    let video = bench.upload("video", "video/mp4", "x").await;
    let pdf = bench.upload("pdf", "application/pdf", PDF).await;
    let huge = vec![b'x'; usize::try_from(MAX_FILE_BYTES).unwrap() + 1];
    let huge = bench.upload("huge", "text/plain", huge).await;
    let hello = json!({"type": "text", "text": "Hello."});
    let cases = [
        (json!([hello, file(&video)]), None, Code::AttachmentTypeUnsupported, "#/content/1"),
        (
            json!([{"type": "image", "artifact_id": pdf.id}]),
            None,
            Code::AttachmentTypeUnsupported,
            "#/content/0",
        ),
        (json!([file(&huge)]), None, Code::AttachmentTooLarge, "#/content/0"),
        (json!(vec![file(&image); 11]), None, Code::TooManyAttachments, "#/content"),
        (json!([file(&image)]), Some("deepseek-chat"), Code::ModelCannotReadAttachment, "#/content/0"),
        (
            json!([{"type": "file", "artifact_id": image.id, "name": "a\nb"}]),
            None,
            Code::ValidationFailed,
            "#/content/0",
        ),
        (json!([{"type": "text", "text": " "}]), None, Code::ValidationFailed, "#/content"),
    ];
    for (content, model, code, place) in cases {
        assert_eq!(bench.refused(content.clone(), model).await, (code, place.to_owned()), "{content}");
    }
    let accepted = bench.accept(&bench.caller, json!(vec![file(&pdf); 10]), Some("deepseek-chat")).await;
    assert!(accepted.is_ok(), "the text of a document is for every model: {accepted:?}");
}

#[tokio::test]
async fn the_operator_says_which_models_can_be_shown_images() {
    let mut bench = Bench::new().await;
    let stated = r#"{"deepseek-*": {"images": true}, "gpt-4o": {"images": false}}"#;
    bench.abilities = OperatorTable::fixed(AbilityTable::from_json(stated).unwrap());
    let image = bench.upload("image", "image/png", PNG).await;
    let content = json!([file(&image)]);
    assert!(bench.accept(&bench.caller, content.clone(), Some("deepseek-chat")).await.is_ok());
    let refused = bench.refused(content, Some("gpt-4o")).await;
    assert_eq!(refused, (Code::ModelCannotReadAttachment, "#/content/0".to_owned()));
}

#[tokio::test]
async fn a_key_without_the_scope_for_artifacts_attaches_none() {
    let bench = Bench::new().await;
    let image = bench.upload("image", "image/png", PNG).await;
    let key = Principal { scopes: [Scope::Chat].into_iter().collect(), ..bench.caller.clone() };
    let refused = bench.accept(&key, json!([file(&image)]), None).await.unwrap_err();
    assert_eq!(refused.details().code, Code::InsufficientScope);
    assert!(bench.accept(&key, json!([{"type": "text", "text": "Hello."}]), None).await.is_ok());
}

/// The pointer of the part that is refused because of its image.
async fn unreadable(bench: &Bench, content: MessageContent) -> Option<String> {
    let accepted =
        accept(&bench.store, &bench.caller, content, None, &bench.abilities, "/content").await.unwrap();
    let extractor = Extractor::in_this_process();
    let checked = accepted.check_images(&bench.artifacts, &extractor, bench.caller.tenant, "/content").await;
    let refused = checked.err()?.details();
    assert_eq!(refused.code, Code::AttachmentUnreadable);
    Some(serde_json::to_value(&refused.fields).unwrap()[0]["pointer"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_image_that_cannot_be_decoded_whole_is_refused() {
    let bench = Bench::new().await;
    let whole = bench.upload("whole", "image/png", png(3)).await;
    let mislabelled = bench.upload("mislabelled", "image/png", pdf(&["The tides."])).await;
    let cut = bench.upload("cut", "image/png", &png(3)[..png(3).len() - 1]).await;
    let by_id = |images: &[&Artifact]| {
        let parts = images.iter().map(|image| ContentPart::Image { artifact_id: image.id, name: None });
        MessageContent::Parts(parts.collect())
    };
    assert_eq!(unreadable(&bench, by_id(&[&whole, &whole, &mislabelled])).await, None);
    assert_eq!(unreadable(&bench, by_id(&[&whole, &cut])).await.as_deref(), Some("#/content/1"));
    let inside = |bytes: &[u8]| MessageContent::Parts(vec![inline("image/png", bytes)]);
    assert_eq!(unreadable(&bench, inside(&png(3))).await, None);
    assert_eq!(unreadable(&bench, inside(PNG)).await.as_deref(), Some("#/content/0"));
}
