//! A note, and the rules of its text.

use sequent_core::{NoteId, ProjectId, RunId, Timestamp};
use sequent_event::RunNote;
use serde::{Deserialize, Serialize};

/// A note that an agent keeps about a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Note {
    #[expect(missing_docs, reason = "plain data")]
    pub id: NoteId,
    /// One line of plain text.
    #[cfg_attr(feature = "openapi", schema(max_length = 300, example = "Prefers answers in metric units."))]
    pub text: String,
    /// The conversation in which the note was made.
    pub project_id: ProjectId,
    /// The run that made the note. The note is deleted with it.
    pub run_id: RunId,
    /// The time at which the note was made.
    pub created_at: Timestamp,
}

impl From<Note> for RunNote {
    fn from(note: Note) -> Self {
        Self { id: note.id, text: note.text }
    }
}

/// The text of a new note: one line of 1 to 300 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteText(String);

/// The text is not that of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one line of 1 to {} characters, without control characters", NoteText::MAX_CHARACTERS)]
pub struct InvalidNote;

impl NoteText {
    #[expect(missing_docs, reason = "the name says it")]
    pub const MAX_CHARACTERS: usize = 300;

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

impl TryFrom<String> for NoteText {
    type Error = InvalidNote;

    fn try_from(text: String) -> Result<Self, InvalidNote> {
        let text = text.trim();
        let is_short = (1..=Self::MAX_CHARACTERS).contains(&text.chars().count());
        if is_short && !text.chars().any(breaks_line) { Ok(Self(text.to_owned())) } else { Err(InvalidNote) }
    }
}

/// Returns `true` for control characters, and for the two that Unicode has to separate lines and paragraphs.
fn breaks_line(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_one_line() {
        let text = |text: &str| NoteText::try_from(text.to_owned()).map(NoteText::into_string);
        assert_eq!(text("  Likes tea.\n").as_deref(), Ok("Likes tea."));
        assert_eq!(text(&"é".repeat(300)).map(|text| text.len()), Ok(600));
        for refused in
            ["", " \n", "a\nb", "a\u{2028}b", "a\u{2029}b", "a\u{1b}[31m", "a\tb", &"x".repeat(301)]
        {
            assert_eq!(text(refused), Err(InvalidNote), "{refused:?}");
        }
    }
}
