//! The errors of notes.

use sequent_tables::{Cancelled, Error as DataError};

use crate::Note;

/// An operation on notes failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The agent keeps as many notes about the person as it may, or as many bytes. These are its notes.
    #[error("there is no room for another note beside {} others", .0.len())]
    Full(Vec<Note>),
    /// The call has made a note before, which was deleted since.
    #[error("the note was deleted")]
    Deleted,
    /// There is no such note.
    #[error("no such note")]
    NoteNotFound,
    /// The run does not exist any more, or its agent does not, or keeps no notes.
    #[error("the run keeps no notes")]
    NoMemory,
    /// The table could not be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A transaction did not happen.
    #[error(transparent)]
    Commit(#[from] Cancelled),
}
