//! Showing the files of a request to a model: as they are, as text, or as a note.

use std::collections::HashSet;

use sequent_model::{Abilities, AttachedFile, FileBytes, Message, Part};

use crate::{
    Unavailable,
    read::{Files, MAX_TEXT, ReadFile},
};

/// Files of a request that are read. Bedrock takes 20 images (Amazon Bedrock, "Message"), and Anthropic halves the size that
/// images may have above 20 (Anthropic, "Vision").
const MAX_SHOWN: usize = 20;
/// Documents that are sent as they are (Amazon Bedrock, "Message").
const MAX_DOCUMENTS: usize = 5;
/// Bytes of all files that are sent as they are. They grow by a third in Base64, and a request has at most 32 MB (Anthropic,
/// "PDF support").
const MAX_BYTES: usize = 20_000_000;

const EARLIER: &str = "The file is not shown again. Ask the person to attach it again if you need it.";
const BELOW: &str = "The file is shown further below.";
const NO_IMAGES: &str = "You cannot see images. Say so if the image matters.";
const NO_ROOM: &str = "The file is not shown, because the files are too large together.";
const NO_TEXT: &str = "No text could be read in the file. It may consist of images.";

/// The room that is left for files in a request. All texts together have that of one.
struct Room {
    files: usize,
    documents: usize,
    bytes: usize,
    text: usize,
}

impl Files {
    /// Adds to the files of `messages` what a model with these abilities can be shown of them. The latest files come first;
    /// what has no room is only described.
    ///
    /// # Errors
    /// [`Unavailable`] if the artifacts cannot be read at the moment. A file that does not exist any more is no error.
    pub async fn show(&mut self, messages: &mut [Message], abilities: Abilities) -> Result<(), Unavailable> {
        let latest = latest(messages);
        self.read(&latest).await?;
        let mut room = Room { files: MAX_SHOWN, documents: MAX_DOCUMENTS, bytes: MAX_BYTES, text: MAX_TEXT };
        let mut shown: HashSet<String> = HashSet::new();
        for part in messages.iter_mut().rev().flat_map(|message| message.parts.iter_mut().rev()) {
            let Part::File(file) = part else { continue };
            *part = if shown.insert(file.id.clone()) {
                self.part(file, abilities, &mut room)
            } else {
                noted(file, BELOW)
            };
        }
        Ok(())
    }

    fn part(&self, file: &AttachedFile, abilities: Abilities, room: &mut Room) -> Part {
        let Some(read) = self.get(&file.id).filter(|_| room.files > 0) else { return noted(file, EARLIER) };
        room.files -= 1;
        match read {
            ReadFile::Unreadable(reason) => noted(file, reason),
            ReadFile::Image(bytes) if abilities.images => shown(file, bytes, room),
            ReadFile::Image(_) => noted(file, NO_IMAGES),
            ReadFile::Pdf { shown: Some(bytes), .. } if abilities.pdf && room.documents > 0 => {
                room.documents -= 1;
                shown(file, bytes, room)
            }
            ReadFile::Pdf { text, .. } | ReadFile::Text(text) if text.trim().is_empty() => {
                noted(file, NO_TEXT)
            }
            ReadFile::Pdf { text, .. } | ReadFile::Text(text) => written(file, text, room),
        }
    }
}

/// The file as it is, if there is room for its bytes.
fn shown(file: &AttachedFile, bytes: &FileBytes, room: &mut Room) -> Part {
    let Some(left) = room.bytes.checked_sub(bytes.bytes().len()) else { return noted(file, NO_ROOM) };
    room.bytes = left;
    Part::File(AttachedFile { bytes: Some(bytes.clone()), ..file.clone() })
}

/// Returns the ids of the latest files, each once.
fn latest(messages: &[Message]) -> Vec<String> {
    let parts = messages.iter().rev().flat_map(|message| message.parts.iter().rev());
    let mut ids: Vec<String> = Vec::new();
    for part in parts {
        if let Part::File(file) = part
            && !ids.contains(&file.id)
        {
            ids.push(file.id.clone());
        }
    }
    ids.truncate(MAX_SHOWN);
    ids
}

/// The description of a file that is not shown, with the reason.
fn noted(file: &AttachedFile, reason: &str) -> Part {
    Part::Text { text: format!("{}\n({reason})", file.description) }
}

/// The text of a file, between marks that a model knows as the borders of a document.
fn written(file: &AttachedFile, text: &str, room: &mut Room) -> Part {
    if room.text == 0 {
        return noted(file, NO_ROOM);
    }
    let end = text.floor_char_boundary(room.text);
    room.text -= end;
    let cut = if end < text.len() {
        format!("\n[Cut: the text has {} bytes; only the beginning is shown.]", text.len())
    } else {
        String::new()
    };
    Part::Text { text: format!("{}\n<document>\n{}{cut}\n</document>", file.description, &text[..end]) }
}
