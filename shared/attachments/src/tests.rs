//! Accepting files and showing them, over tables and a bucket in process.

use std::io::Cursor;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::{DynamicImage, ImageFormat};
use sequent_artifacts::{Artifact, Artifacts, Description, Origin, testing::bucket};
use sequent_core::{ApiError, ArtifactId, Code, Principal, Scope, Scopes, SessionId, TenantId, UserId, Via};
use sequent_event::{UserContent, UserPart};
use sequent_model::{
    Abilities, AbilityTable, AttachedFile, FileType, Message, ModelName, OperatorTable, Part, Role,
    estimate::{message_tokens, part_tokens},
};
use sequent_tables::Store;
use serde_json::{Value, json};

use crate::{
    ContentPart, Error, Extractor, Files, InlineFile, MAX_FILE_BYTES, MAX_INLINE_BYTES, MessageContent,
    accept, docx::tests::docx, pdf::tests::pdf,
};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n not really";
const PDF: &[u8] = b"%PDF-1.7 not really";

/// An image of this many pixels in a row.
fn png(width: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(width, 1).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}
const ALL: Abilities = Abilities { images: true, pdf: true };
const NOTHING: Abilities = Abilities { images: false, pdf: false };

struct Bench {
    store: Store,
    artifacts: Artifacts,
    caller: Principal,
    abilities: OperatorTable<AbilityTable>,
}

fn caller(scopes: Scopes) -> Principal {
    Principal {
        tenant: TenantId::new(),
        user: UserId::new(),
        session: Some(SessionId::new()),
        api_key: None,
        scopes,
        via: Via::Bearer,
    }
}

impl Bench {
    async fn new() -> Self {
        let store = sequent_tables::testing::store().await;
        let artifacts = Artifacts::new(store.clone(), bucket().await.0);
        let abilities = OperatorTable::fixed(AbilityTable::default());
        Self { store, artifacts, caller: caller(Scopes::ALL), abilities }
    }

    async fn upload(&self, title: &str, media_type: &str, bytes: impl Into<Vec<u8>>) -> Artifact {
        let description = Description {
            title: title.to_owned(),
            entity_type: "file".to_owned(),
            tags: Vec::new(),
            media_type: media_type.to_owned(),
        };
        let bytes: Vec<u8> = bytes.into();
        let saved = self.artifacts.save(
            self.caller.tenant,
            ArtifactId::new(),
            description,
            Origin::default(),
            bytes.into(),
        );
        saved.await.unwrap()
    }

    async fn accept(
        &self,
        caller: &Principal,
        content: Value,
        model: Option<&str>,
    ) -> Result<UserContent, Error> {
        let content: MessageContent = serde_json::from_value(content).unwrap();
        let model: Option<ModelName> = model.map(|name| name.parse().unwrap());
        let accepted =
            accept(&self.store, caller, content, model.as_ref(), &self.abilities, "/content").await?;
        Ok(accepted.prompt.into())
    }

    async fn refused(&self, content: Value, model: Option<&str>) -> (Code, String) {
        let refused = self.accept(&self.caller, content, model).await.unwrap_err().details();
        let place = serde_json::to_value(&refused.fields).unwrap();
        (refused.code, place[0]["pointer"].as_str().unwrap_or_default().to_owned())
    }

    fn files(&self) -> Files {
        Files::new(self.artifacts.clone(), self.caller.tenant, Extractor::in_this_process())
    }

    async fn shown(&self, files: &[&Artifact], abilities: Abilities) -> Vec<Part> {
        let mut messages: Vec<Message> = files.iter().map(|file| attaching(file)).collect();
        self.files().show(&mut messages, abilities, u64::MAX).await.unwrap();
        messages.into_iter().flat_map(|message| message.parts).collect()
    }
}

fn attaching(artifact: &Artifact) -> Message {
    let file = AttachedFile::described(artifact.id.to_string(), format!("[attached: {}]", artifact.title));
    Message { role: Role::User, parts: vec![Part::File(file)] }
}

fn file(artifact: &Artifact) -> Value {
    json!({"type": "file", "artifact_id": artifact.id})
}

fn bytes(part: &Part) -> Option<(FileType, &[u8])> {
    let Part::File(AttachedFile { bytes: Some(bytes), .. }) = part else { return None };
    Some((bytes.file_type, bytes.bytes()))
}

fn text(part: &Part) -> &str {
    let Part::Text { text } = part else { panic!("{part:?} is no text") };
    text
}

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

#[tokio::test]
async fn a_model_is_shown_what_it_can_read_and_told_of_the_rest() {
    let bench = Bench::new().await;
    let document = pdf(&["The tides of Brest."]);
    let image = bench.upload("image", "image/jpeg", png(3)).await;
    let large = bench.upload("large", "image/png", png(2_500)).await;
    let report = bench.upload("report", "application/pdf", document.clone()).await;
    let letter =
        bench.upload("letter", "application/octet-stream", docx("<w:p><w:t>Dear all.</w:t></w:p>")).await;
    let page = bench.upload("page", "text/html", "<h1>Tides</h1><script>x</script>").await;
    let notes = bench.upload("notes", "text/markdown", b"\xff\xfe#\0 \0T\0".to_vec()).await;
    let files = [&image, &large, &report, &letter, &page, &notes];

    let parts = bench.shown(&files, ALL).await;
    assert_eq!(bytes(&parts[0]), Some((FileType::Png, png(3).as_slice())), "the type is that of the bytes");
    assert_eq!(bytes(&parts[1]).unwrap().0, FileType::Jpeg, "it is scaled down");
    assert_eq!(bytes(&parts[2]), Some((FileType::Pdf, document.as_slice())));
    assert_eq!(text(&parts[3]), "[attached: letter]\n<document>\nDear all.\n\n</document>");
    assert_eq!(text(&parts[4]), "[attached: page]\n<document>\n# Tides\n</document>");
    assert_eq!(text(&parts[5]), "[attached: notes]\n<document>\n# T\n</document>");

    let parts = bench.shown(&files, NOTHING).await;
    assert!(text(&parts[0]).contains("You cannot see images"), "{parts:?}");
    assert!(text(&parts[2]).contains("[page 1]\nThe tides of Brest."), "{parts:?}");
}

#[tokio::test]
async fn a_deleted_or_damaged_file_becomes_a_note() {
    let bench = Bench::new().await;
    let deleted = bench.upload("deleted", "image/png", PNG).await;
    bench.artifacts.delete(bench.caller.tenant, deleted.id).await.unwrap();
    let damaged = bench.upload("damaged", "image/png", [0_u8, 159, 146, 150]).await;
    let cut = bench.upload("cut", "image/png", &png(3)[..40]).await;
    let parts = bench.shown(&[&deleted, &damaged, &cut], ALL).await;
    assert!(text(&parts[0]).starts_with("[attached: deleted]\n(The file was deleted"), "{parts:?}");
    assert!(text(&parts[1]).starts_with("[attached: damaged]\n(The file cannot be read"), "{parts:?}");
    assert!(
        text(&parts[2]).starts_with("[attached: cut]\n(The file cannot be read: it is damaged"),
        "{parts:?}"
    );
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

#[tokio::test]
async fn the_latest_files_are_shown_once_and_the_others_are_described() {
    let bench = Bench::new().await;
    let mut images = Vec::new();
    for number in 1..=22 {
        images.push(bench.upload(&format!("{number}"), "image/png", png(number)).await);
    }
    let files: Vec<&Artifact> = images.iter().chain([&images[21]]).collect();
    let parts = bench.shown(&files, ALL).await;
    let shown: Vec<bool> = parts.iter().map(|part| bytes(part).is_some()).collect();
    let expected: Vec<bool> = (0..23).map(|at| (2..=20).contains(&at) || at == 22).collect();
    assert_eq!(shown, expected);
    assert!(text(&parts[0]).contains("not shown again"), "{:?}", parts[0]);
    assert!(text(&parts[21]).contains("further below"), "{:?}", parts[21]);
}

#[tokio::test]
async fn files_have_at_most_so_many_bytes_together() {
    let bench = Bench::new().await;
    // Bytes after the end of a PDF do not matter to its readers.
    let document = pdf(&["The tides."]);
    let large = |number: u8| [document.clone(), b"\n%".to_vec(), vec![number + b'a'; 4_400_000]].concat();
    let mut documents = Vec::new();
    for number in 0..6 {
        documents.push(bench.upload("pdf", "application/pdf", large(number)).await);
    }
    let files: Vec<&Artifact> = documents.iter().collect();
    let parts = bench.shown(&files, ALL).await;
    let shown = parts.iter().filter(|part| bytes(part).is_some()).count();
    assert_eq!(shown, 3, "14 MB have room for three of 4.4 MB");
    assert!(bytes(&parts[5]).is_some(), "the latest one is shown");
}

/// Shows files to a model that has this many tokens for them.
async fn shown_within(bench: &Bench, files: &[&Artifact], tokens: u64) -> Vec<Part> {
    let mut messages: Vec<Message> = files.iter().map(|file| attaching(file)).collect();
    bench.files().show(&mut messages, ALL, tokens).await.unwrap();
    messages.into_iter().flat_map(|message| message.parts).collect()
}

#[tokio::test]
async fn files_take_no_more_tokens_than_are_left() {
    let bench = Bench::new().await;
    let pages = vec!["The tides of Brest."; 30];
    let report = bench.upload("report", "application/pdf", pdf(&pages)).await;
    let table = bench.upload("table", "text/csv", "12,34;".repeat(30_000)).await;
    let image = bench.upload("image", "image/png", png(3)).await;
    let files = [&report, &table, &image];
    for left in [0, 50, 300, 5_000, 40_000, 100_000, 300_000] {
        let parts = shown_within(&bench, &files, left).await;
        let described: u64 = files.iter().map(|file| message_tokens(&attaching(file))).sum();
        let taken = parts.iter().map(part_tokens).sum::<u64>().saturating_sub(described);
        assert!(taken <= left, "{taken} of {left}: {parts:?}");
    }
    let parts = shown_within(&bench, &files, 200_000).await;
    assert!(
        bytes(&parts[0]).is_none() && text(&parts[0]).contains("The tides of Brest."),
        "as text: {parts:?}"
    );
    let parts = shown_within(&bench, &[&table], 5_000).await;
    assert!(text(&parts[0]).contains("[Cut: only a part of the file is shown. Only"), "{parts:?}");
}

#[tokio::test]
async fn documents_have_at_most_a_hundred_pages_together() {
    let bench = Bench::new().await;
    let first = bench.upload("first", "application/pdf", pdf(&["One."; 60])).await;
    let second = bench.upload("second", "application/pdf", pdf(&["Two."; 60])).await;
    let parts = bench.shown(&[&first, &second], ALL).await;
    assert!(text(&parts[0]).contains("One.") && bytes(&parts[1]).is_some(), "{parts:?}");
}

#[tokio::test]
async fn files_that_a_provider_refuses_become_the_latest_one_and_then_none() {
    let bench = Bench::new().await;
    let first = bench.upload("first", "image/png", png(1)).await;
    let report = bench.upload("report", "application/pdf", pdf(&["The tides."])).await;
    let last = bench.upload("last", "image/png", png(2)).await;
    let mut files = bench.files();
    let show = async |files: &mut Files| {
        let mut messages: Vec<Message> = [&first, &report, &last].map(attaching).into();
        let shown = files.show(&mut messages, ALL, u64::MAX).await.unwrap();
        (shown, messages.into_iter().flat_map(|message| message.parts).collect::<Vec<Part>>())
    };
    let (shown, parts) = show(&mut files).await;
    assert!(shown == 3 && parts.iter().all(|part| bytes(part).is_some()), "{parts:?}");
    assert!(files.refuse(shown));
    let (shown, parts) = show(&mut files).await;
    assert!(shown == 1 && bytes(&parts[2]).is_some(), "{parts:?}");
    assert!(text(&parts[0]).contains("refused") && text(&parts[1]).contains("The tides."), "{parts:?}");
    assert!(files.refuse(shown));
    let (shown, parts) = show(&mut files).await;
    assert!(text(&parts[2]).contains("refused"), "{parts:?}");
    assert!(!files.refuse(shown), "the files are not the reason");
}

fn inline(declared: &str, bytes: &[u8]) -> ContentPart {
    let url = format!("data:{declared};base64,{}", STANDARD.encode(bytes));
    ContentPart::Inline(InlineFile::parse(&url, None, Some("a.bin".to_owned())).unwrap())
}

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
