//! Accepting the content of a message: its files belong to the tenant, and a model can read them.

use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use sequent_artifacts::{Artifact, find};
use sequent_conversation::Prompt;
use sequent_core::{Principal, Scope};
use sequent_event::{Attachment, DataPart, UserContent, UserPart};
use sequent_model::{Abilities, ModelName};
use sequent_tables::Store;

use crate::{ContentPart, Error, MessageContent, Refusal, kind::FileKind};

/// Most files of a message.
pub const MAX_FILES: usize = 10;
/// Most bytes of a file that can be attached. The function that shows it to a model has it in memory.
pub const MAX_FILE_BYTES: u64 = 20 << 20;
/// Longest name of a file, in characters.
const MAX_NAME: usize = 200;
/// Artifacts that are read at the same time.
const PARALLEL_READS: usize = 5;

/// Accepts the content at the JSON pointer `at` as a message of the caller. If `model` is known, it must be able to read the
/// files.
///
/// # Errors
/// [`Error`]. An artifact of another tenant counts as missing.
pub async fn accept(
    store: &Store,
    caller: &Principal,
    content: MessageContent,
    model: Option<&ModelName>,
    at: &str,
) -> Result<Prompt, Error> {
    let parts = match content {
        MessageContent::Text(prompt) => return Ok(prompt),
        MessageContent::Parts(parts) => parts,
    };
    let files = parts.iter().filter(|part| part.is_file()).count();
    if files > 0 {
        // Otherwise a key without this scope could have a model read the file to it.
        caller.require(Scope::ArtifactsRead)?;
    }
    if files > MAX_FILES {
        return Err(Error::from(Refusal::TooMany(files)).at(at));
    }
    let accept_at = |(index, part)| {
        let accepted = accept_part(store, caller, part, model);
        accepted.map(move |accepted| accepted.map_err(|error| error.at(&format!("{at}/{index}")))).boxed()
    };
    let accepted: Vec<BoxFuture<'_, _>> = parts.into_iter().enumerate().map(accept_at).collect();
    let parts: Vec<UserPart> = stream::iter(accepted).buffered(PARALLEL_READS).try_collect().await?;
    Prompt::try_from(UserContent::Parts(parts)).map_err(|error| Error::from(error).at(at))
}

async fn accept_part(
    store: &Store,
    caller: &Principal,
    part: ContentPart,
    model: Option<&ModelName>,
) -> Result<UserPart, Error> {
    let found = async |id| find(store, caller.tenant, id).await?.ok_or(Error::from(Refusal::NotFound));
    match part {
        ContentPart::Text { text } => Ok(UserPart::Text { text }),
        ContentPart::Data { name, data } => Ok(UserPart::Data(DataPart { name, data })),
        ContentPart::File { artifact_id, name } => Ok(part_of(found(artifact_id).await?, name, model)?),
        ContentPart::Image { artifact_id, name } => match part_of(found(artifact_id).await?, name, model)? {
            UserPart::File(file) => Err(Refusal::NotAnImage(file.media_type).into()),
            image => Ok(image),
        },
    }
}

/// Makes the part of an artifact of the tenant.
fn part_of(artifact: Artifact, name: Option<String>, model: Option<&ModelName>) -> Result<UserPart, Refusal> {
    let kind = FileKind::of_media_type(&artifact.media_type);
    let kind = kind.ok_or_else(|| Refusal::Type(artifact.media_type.clone()))?;
    if artifact.size > MAX_FILE_BYTES {
        return Err(Refusal::TooLarge(artifact.size));
    }
    if let Some(model) = model.filter(|model| kind.is_image() && !Abilities::of(model).images) {
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

/// Returns the name that the client gave the file, or its title. It is one line, because it is part of one that the model
/// reads.
fn named(name: Option<String>, title: String) -> Result<String, Refusal> {
    let name = name.filter(|name| !name.trim().is_empty()).unwrap_or(title);
    let is_line = !name.chars().any(char::is_control) && name.chars().count() <= MAX_NAME;
    if is_line { Ok(name) } else { Err(Refusal::Name) }
}
