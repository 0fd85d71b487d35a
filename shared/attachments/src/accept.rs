//! Accepting the content of a message: its files belong to the tenant, and a model can read them.

use std::{collections::HashSet, future::ready, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use sequent_artifacts::{Artifact, Artifacts, find, rows_with_run};
use sequent_conversation::{Prompt, RunRows};
use sequent_core::{ArtifactId, Principal, Scope, TenantId};
use sequent_event::{Attachment, DataPart, UserContent, UserPart};
use sequent_model::{AbilityTable, ModelName, OperatorTable};
use sequent_tables::Store;
use tokio::time::Instant;

use crate::{
    ContentPart, Error, Extractor, InlineFile, MAX_INLINE_BYTES, MessageContent, Refusal, extractor,
    inline::NewFile, kind::FileKind,
};

/// Most files of a message.
pub const MAX_FILES: usize = 10;
/// Most bytes of a file that can be attached. The function that shows it to a model has it in memory.
pub const MAX_FILE_BYTES: u64 = 20 << 20;
/// Longest name of a file, in characters.
const MAX_NAME: usize = 200;
/// Artifacts that are read at the same time.
const PARALLEL_READS: usize = 5;
/// Time to decode the images of a message. The person waits.
const MAX_CHECK: Duration = Duration::from_secs(20);

/// A message that was accepted, with the bytes of its files.
#[derive(Debug)]
pub struct Accepted {
    /// The content to store.
    pub prompt: Prompt,
    /// The files that came inside the message.
    files: Vec<NewFile>,
}

/// Accepts the content at the JSON pointer `at` as a message of the caller. If `model` is known, it must be able to read the
/// files, as far as the deployment's `abilities` of models say. Nothing is stored yet.
///
/// # Errors
/// [`Error`]. An artifact of another tenant counts as missing.
pub async fn accept(
    store: &Store,
    caller: &Principal,
    content: MessageContent,
    model: Option<&ModelName>,
    abilities: &OperatorTable<AbilityTable>,
    at: &str,
) -> Result<Accepted, Error> {
    let parts = match content {
        MessageContent::Text(prompt) => return Ok(Accepted { prompt, files: Vec::new() }),
        MessageContent::Parts(parts) => parts,
    };
    check(caller, &parts).map_err(|error| error.at(at))?;
    let blind = blind(&parts, model, abilities).await;
    let mut files: Vec<NewFile> = Vec::new();
    let mut accepted: Vec<BoxFuture<'_, Result<UserPart, Error>>> = Vec::new();
    for (index, part) in parts.into_iter().enumerate() {
        let at = format!("{at}/{index}");
        let part = match part {
            ContentPart::Inline(file) => {
                let name = file.name.clone();
                let artifact = add(&mut files, file, caller);
                let part = artifact.and_then(|artifact| part_of(artifact, name, blind));
                ready(part.map_err(Error::from)).boxed()
            }
            part => accept_part(store, caller, part, blind).boxed(),
        };
        accepted.push(part.map(move |part| part.map_err(|error| error.at(&at))).boxed());
    }
    let parts: Vec<UserPart> = stream::iter(accepted).buffered(PARALLEL_READS).try_collect().await?;
    let prompt = Prompt::try_from(UserContent::Parts(parts)).map_err(|error| Error::from(error).at(at))?;
    Ok(Accepted { prompt, files })
}

/// Returns the model, if the parts have files and it cannot be shown images.
async fn blind<'a>(
    parts: &[ContentPart],
    model: Option<&'a ModelName>,
    abilities: &OperatorTable<AbilityTable>,
) -> Option<&'a ModelName> {
    let model = model.filter(|_| parts.iter().any(ContentPart::is_file))?;
    let abilities = abilities.current().await;
    (!abilities.of(model).images).then_some(model)
}

/// Checks the scopes of the caller, and the number and the size of the files.
fn check(caller: &Principal, parts: &[ContentPart]) -> Result<(), Error> {
    let inline = parts.iter().filter_map(|part| match part {
        ContentPart::Inline(file) => Some(file.len()),
        _ => None,
    });
    let inline: Vec<usize> = inline.collect();
    let files = parts.iter().filter(|part| part.is_file()).count();
    if files > inline.len() {
        // Otherwise a key without this scope could have a model read the file to it.
        caller.require(Scope::ArtifactsRead)?;
    }
    if !inline.is_empty() {
        caller.require(Scope::ArtifactsWrite)?;
    }
    if files > MAX_FILES {
        return Err(Refusal::TooMany(files).into());
    }
    let bytes: usize = inline.iter().sum();
    if bytes > MAX_INLINE_BYTES { Err(Refusal::TooLargeInline(bytes).into()) } else { Ok(()) }
}

/// Returns the artifact that a file inside the message becomes. Equal bytes become one artifact.
fn add(files: &mut Vec<NewFile>, file: InlineFile, caller: &Principal) -> Result<Artifact, Refusal> {
    let new = file.into_new(caller.user)?;
    let known = files.iter().find(|known| known.artifact.sha256 == new.artifact.sha256);
    if let Some(known) = known {
        return Ok(known.artifact.clone());
    }
    let artifact = new.artifact.clone();
    files.push(new);
    Ok(artifact)
}

impl Accepted {
    /// Puts the bytes of the files that came inside the message. Returns the rows that are stored with the run: if the message
    /// is refused after all, there are none, and the collector deletes the bytes.
    ///
    /// # Errors
    /// If the tenant has no room for the bytes, or the bucket fails.
    pub async fn keep(&self, artifacts: &Artifacts, tenant: TenantId) -> Result<Option<RunRows>, Error> {
        for NewFile { artifact, bytes } in &self.files {
            artifacts.put(tenant, artifact, bytes.clone()).await?;
        }
        let new: Vec<Artifact> = self.files.iter().map(|file| file.artifact.clone()).collect();
        let rows = (!new.is_empty()).then(|| RunRows::new(move |run| rows_with_run(tenant, &new, run)));
        Ok(rows)
    }

    /// Checks that the images of the message, which was at the JSON pointer `at`, can be decoded whole. A provider would refuse
    /// a damaged one, and the person learns of it now and not from the answer.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`], or an error of the table or the bucket.
    pub async fn check_images(
        &self,
        artifacts: &Artifacts,
        extractor: &Extractor,
        tenant: TenantId,
        at: &str,
    ) -> Result<(), Error> {
        let UserContent::Parts(parts) = self.prompt.content() else { return Ok(()) };
        let deadline = Instant::now() + MAX_CHECK;
        let mut checked: HashSet<ArtifactId> = HashSet::new();
        for (index, part) in parts.iter().enumerate() {
            let UserPart::Image(image) = part else { continue };
            if !checked.insert(image.artifact_id) {
                continue;
            }
            let place = format!("{at}/{index}");
            let bytes = self.bytes(artifacts, tenant, image.artifact_id).await;
            let bytes = bytes.map_err(|error| error.at(&place))?;
            let decoded = check_image(extractor, bytes, deadline).await;
            decoded.map_err(|refusal| Error::from(refusal).at(&place))?;
        }
        Ok(())
    }

    /// The bytes of a file of the message.
    async fn bytes(&self, artifacts: &Artifacts, tenant: TenantId, id: ArtifactId) -> Result<Bytes, Error> {
        if let Some(new) = self.files.iter().find(|new| new.artifact.id == id) {
            return Ok(new.bytes.clone());
        }
        let artifact = artifacts.get(tenant, id).await.map_err(missing)?;
        artifacts.bytes(tenant, &artifact, MAX_FILE_BYTES).await.map_err(missing)
    }

    /// Returns `true` if files came inside the message.
    #[must_use]
    pub fn has_files(&self) -> bool {
        !self.files.is_empty()
    }
}

/// The error of a file that was deleted since the message was accepted, or could not be read.
fn missing(error: sequent_artifacts::Error) -> Error {
    match error {
        sequent_artifacts::Error::NotFound => Refusal::NotFound.into(),
        error => error.into(),
    }
}

/// Decodes an image. One whose bytes are of another type is not decoded if a model can read that type.
async fn check_image(extractor: &Extractor, bytes: Bytes, deadline: Instant) -> Result<(), Refusal> {
    let Some(kind) = FileKind::of_bytes(&bytes, None) else {
        return Err(Refusal::Unreadable(extractor::Error::Damaged.to_string()));
    };
    if !kind.is_image() {
        return Ok(());
    }
    match extractor.extract(kind, bytes, deadline).await {
        // The model is told of an image that cannot be read later either. A lack of time is no fault of the image.
        Ok(_) | Err(extractor::Error::Failed(_) | extractor::Error::TimedOut) => Ok(()),
        Err(error) => Err(Refusal::Unreadable(error.to_string())),
    }
}

async fn accept_part(
    store: &Store,
    caller: &Principal,
    part: ContentPart,
    blind: Option<&ModelName>,
) -> Result<UserPart, Error> {
    let found = async |id| find(store, caller.tenant, id).await?.ok_or(Error::from(Refusal::NotFound));
    match part {
        ContentPart::Text { text } => Ok(UserPart::Text { text }),
        ContentPart::Data { name, data } => Ok(UserPart::Data(DataPart { name, data })),
        ContentPart::File { artifact_id, name } => Ok(part_of(found(artifact_id).await?, name, blind)?),
        ContentPart::Image { artifact_id, name } => match part_of(found(artifact_id).await?, name, blind)? {
            UserPart::File(file) => Err(Refusal::NotAnImage(file.media_type).into()),
            image => Ok(image),
        },
        // The caller has added it to the files of the message.
        ContentPart::Inline(_) => Err(Refusal::NotFound.into()),
    }
}

/// Makes the part of an artifact of the tenant. `blind` is the model, if it cannot be shown images.
fn part_of(artifact: Artifact, name: Option<String>, blind: Option<&ModelName>) -> Result<UserPart, Refusal> {
    let kind = FileKind::of_media_type(&artifact.media_type);
    let kind = kind.ok_or_else(|| Refusal::Type(artifact.media_type.clone()))?;
    if artifact.size > MAX_FILE_BYTES {
        return Err(Refusal::TooLarge(artifact.size));
    }
    if let Some(model) = blind.filter(|_| kind.is_image()) {
        return Err(Refusal::Model(model.to_string()));
    }
    let attachment = Attachment {
        artifact_id: artifact.id,
        media_type: artifact.media_type,
        name: Some(named(name, artifact.title)?),
        size: artifact.size,
    };
    Ok(if kind.is_image() { UserPart::Image(attachment) } else { UserPart::File(attachment) })
}

/// Returns the name that the client gave the file, or its title. It is part of a line in brackets that the model reads, so it has
/// no line break and no bracket: a model may have made the title from the text of a page.
fn named(name: Option<String>, title: String) -> Result<String, Refusal> {
    let name = name.filter(|name| !name.trim().is_empty()).unwrap_or(title);
    let is_line = !name.chars().any(char::is_control) && name.chars().count() <= MAX_NAME;
    if is_line { Ok(name.replace('[', "(").replace(']', ")")) } else { Err(Refusal::Name) }
}
