//! Accepting files and showing them, over tables and a bucket in process.

mod accepting;
mod inside;
mod showing;

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

fn inline(declared: &str, bytes: &[u8]) -> ContentPart {
    let url = format!("data:{declared};base64,{}", STANDARD.encode(bytes));
    ContentPart::Inline(InlineFile::parse(&url, None, Some("a.bin".to_owned())).unwrap())
}
