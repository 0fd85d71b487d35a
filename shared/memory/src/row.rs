//! The row of the notes of one agent about one person, and its changes.

use sequent_core::NoteId;
use sequent_tables::{Error as DataError, Key, Row, Update, Write, attribute};
use serde::{Deserialize, Serialize};

use crate::{Error, Note};

/// Bytes of the texts of all notes at most.
const MAX_BYTES: usize = 8_000;
/// Deleted notes whose ids are kept. A call is repeated within minutes.
const MAX_DELETED: usize = 50;

/// The notes of one agent about one person, oldest first. A row without notes stays, so that its version grows for ever.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct MemoryRow {
    /// Every change increments it. 0 is the version of a row that does not exist.
    version: u64,
    pub(crate) notes: Vec<Note>,
    /// The ids of the notes that were deleted last.
    #[serde(default)]
    deleted: Vec<NoteId>,
}

impl MemoryRow {
    /// Returns the note that the call which is to make `note` has made before, or a note with the same text.
    ///
    /// # Errors
    /// [`Error::Deleted`] if the note was deleted since.
    pub(crate) fn made_before(&self, note: &Note) -> Result<Option<&Note>, Error> {
        if self.deleted.contains(&note.id) {
            return Err(Error::Deleted);
        }
        Ok(self.notes.iter().find(|known| known.id == note.id || known.text == note.text))
    }

    /// Returns the row with another note.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub(crate) fn with(&self, note: Note, max_notes: usize) -> Result<Self, Error> {
        let bytes: usize = self.notes.iter().chain([&note]).map(|note| note.text.len()).sum();
        if self.notes.len() >= max_notes || bytes > MAX_BYTES {
            return Err(Error::Full(self.notes.clone()));
        }
        let mut after = self.clone();
        after.notes.push(note);
        Ok(after)
    }

    /// Returns the row without some of its notes.
    pub(crate) fn without(&self, is_left_out: impl Fn(&Note) -> bool) -> Self {
        let mut after = self.clone();
        let left_out = after.notes.extract_if(.., |note| is_left_out(note));
        after.deleted.extend(left_out.map(|note| note.id));
        let surplus = after.deleted.len().saturating_sub(MAX_DELETED);
        after.deleted.drain(..surplus);
        after
    }

    /// Builds the write that turns this row into `after`, if it was not changed since it was read.
    pub(crate) fn change(&self, key: &Key, after: &Self) -> Result<Write, DataError> {
        let version = self.version + 1;
        if self.version == 0 {
            return Ok(Write::insert(Row::new(key, &Self { version, ..after.clone() })?));
        }
        let update = Update::of(key)
            .set("version", version)
            .set("notes", &after.notes)
            .set("deleted", &after.deleted)
            .when(attribute("version").equals(self.version));
        Ok(update.into())
    }
}
