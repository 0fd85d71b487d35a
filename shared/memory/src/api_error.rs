//! The public side of the errors of notes.

use sequent_core::{ApiError, Code, ErrorDetails};

use crate::Error;

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::NoteNotFound => {
                ErrorDetails::new(Code::NotFound, "The agent keeps no note with this id about you.")
            }
            // Only the calls of runs add notes, and a model reads these.
            Self::Full(_) | Self::Deleted | Self::NoMemory => ErrorDetails::internal(),
            Self::Data(error) => error.details(),
            Self::Commit(error) => error.details(),
        }
    }
}
