//! Memory: the notes that an agent keeps about a person, for later conversations.
//!
//! The notes of one agent about one person are one row. A run reads them when it is created and records them in its log
//! ([`RunNote`](sequent_event::RunNote)), so that a later change does not change what its model was told. Its model changes them
//! with the tools [`REMEMBER`] and [`FORGET`].
//!
//! Invariants:
//!
//! * **A call makes one note.** The id of a note is derived from the call. The row also remembers the ids of the notes that were
//!   deleted last, so a call that is repeated does not bring back a note that a person has deleted meanwhile.
//! * **No note is lost to another one.** The row is changed by compare-and-swap.
//! * **A note does not outlive its origin.** It is added in a transaction that requires the row of its run and that of
//!   the agent, and is deleted after either of them.
//! * **Notes are data.** A note is one line of at most 300 characters. [`instructions`] quotes it, so that no note ends the list
//!   that it is in.

mod api_error;
mod error;
mod memory;
mod note;
mod prompt;
mod row;
mod tools;

pub use error::Error;
pub use memory::{Memory, MemoryKey, NotingRun};
pub use note::{InvalidNote, Note, NoteText};
pub use prompt::instructions;
pub use tools::{FORGET, REMEMBER, TOOL_NAMES, tools};

#[cfg(test)]
mod tests;
