//! The errors of a feed.

use sequent_core::{ApiError, Code, ErrorDetails};
use sequent_tables::Error as TableError;

/// A feed could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Entries after the position have expired.
    #[error("the feed begins after position {oldest}")]
    TooOld {
        /// The position at which a reader can begin: that before the first entry that is left.
        oldest: u64,
    },
    /// The position is after the last entry: no reader can have received an entry from there.
    #[error("the feed ends at position {last}")]
    Ahead {
        /// The position of the last entry.
        last: u64,
    },
    /// Segments do not follow each other.
    #[error("the entries before position {0} are missing")]
    Gap(u64),
    /// A read or write of the table failed.
    #[error(transparent)]
    Data(#[from] TableError),
}

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::TooOld { oldest } => {
                let detail = format!(
                    "The entries after the cursor have expired. Read GET /api/feed/snapshot and begin at its `seq`, or begin with \
                     what is left at {oldest}."
                );
                ErrorDetails::new(Code::CursorExpired, detail).with("oldest", *oldest)
            }
            Self::Ahead { last } => {
                let detail = "The cursor is after the last entry of the feed. Use the `seq` of an entry that was received.";
                ErrorDetails::new(Code::InvalidCursor, detail).with("last", *last)
            }
            Self::Gap(_) => ErrorDetails::internal(),
            Self::Data(error) => error.details(),
        }
    }
}
