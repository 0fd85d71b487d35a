//! The tool calls of an answer, put together from their pieces.
//!
//! The protocol gives each call an index, an id and a name in its first piece, and the index in every further one. Servers
//! leave out, repeat, change or delay each of them. A piece belongs to the only call that it can belong to; a piece for
//! which there is none, or a call that never gets a name, is an invalid answer.

use serde::de::IgnoredAny;

use super::{json::Object, provider_data, surrogates::Joiner};
use crate::{Chunk, Error, chunk::Raw};

/// Calls of an answer at most: more than any model makes.
const MAX_CALLS: usize = 128;

/// A piece of a call. Empty texts count as absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Piece {
    pub(super) index: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) arguments: ArgumentPiece,
    /// Fields that the model gets back with the call.
    pub(super) kept: Object,
}

/// The arguments in a piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum ArgumentPiece {
    #[default]
    None,
    /// The next part of the JSON text.
    Part(String),
    /// The complete JSON text.
    Whole(String),
}

/// The calls of an answer, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<PartialCall>);

#[derive(Debug, Default)]
struct PartialCall {
    index: Option<u64>,
    /// The server's id. Empty if there is none yet.
    id: String,
    name: String,
    arguments: String,
    kept: Object,
    /// The id in our chunks, once the call was announced.
    announced: Option<String>,
    halves: Joiner,
}

impl PartialCall {
    /// Returns `true` if the arguments are a complete JSON document.
    fn is_complete(&self) -> bool {
        !self.arguments.is_empty() && serde_json::from_str::<IgnoredAny>(&self.arguments).is_ok()
    }

    /// Returns the data that the model gets back with the call: its own id, and the fields that were kept.
    fn provider_data(&mut self) -> Object {
        let mut data = std::mem::take(&mut self.kept);
        if !self.id.is_empty() {
            data.insert(provider_data::ID.to_owned(), std::mem::take(&mut self.id).into());
        }
        data
    }
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// If no call can be found for the piece, or it contradicts its call.
    pub(super) fn take(&mut self, piece: Piece, out: &mut Vec<Raw>) -> Result<(), Error> {
        let at = match self.find(&piece)? {
            Some(at) => at,
            None if self.0.len() == MAX_CALLS => {
                return Err(Error::InvalidAnswer("the answer has too many tool calls".into()));
            }
            None => {
                self.0.push(PartialCall::default());
                self.0.len() - 1
            }
        };
        let call = &mut self.0[at];
        call.index = call.index.or(piece.index);
        if call.id.is_empty() {
            call.id = piece.id.unwrap_or_default();
        }
        call.kept.extend(piece.kept);
        if let Some(name) = piece.name {
            take_name(call, &name)?;
        }
        self.take_arguments(at, piece.arguments, out)
    }

    /// Announces the calls that have no arguments, and ends all.
    ///
    /// # Errors
    /// If a call has no name.
    pub(super) fn end(&mut self, out: &mut Vec<Raw>) -> Result<(), Error> {
        for at in 0..self.0.len() {
            if self.0[at].name.is_empty() {
                return Err(Error::InvalidAnswer("a tool call has no name".into()));
            }
            let id = self.announce(at, out);
            if let Some(replacement) = self.0[at].halves.end() {
                let arguments = replacement.to_string();
                out.push(Raw::Chunk(Chunk::ToolCallDelta { id: id.clone(), arguments }));
            }
        }
        for mut call in self.0.drain(..) {
            let Some(id) = call.announced.take() else { continue };
            let data = provider_data::chunk(Some(id.clone()), call.provider_data());
            out.extend(data.into_iter().chain([Chunk::ToolCallEnd { id }]).map(Raw::Chunk));
        }
        Ok(())
    }

    /// Returns the call that the piece belongs to, or `None` if it begins one.
    fn find(&self, piece: &Piece) -> Result<Option<usize>, Error> {
        if let Some(id) = &piece.id
            && let Some(at) = self.0.iter().rposition(|call| call.id == *id)
        {
            // Some servers give all calls the same id, and tell them apart by index.
            let own = self.0[at].index;
            let is_other =
                piece.name.is_some() && own.is_some() && piece.index.is_some() && own != piece.index;
            return Ok((!is_other).then_some(at));
        }
        if let Some(index) = piece.index {
            let known = self.0.iter().rposition(|call| call.index == Some(index));
            return Ok(known.filter(|at| !begins_another(&self.0[*at], piece)));
        }
        let Some((at, last)) = self.0.iter().enumerate().next_back() else {
            return match (&piece.id, &piece.name) {
                (None, None) => Err(Error::InvalidAnswer("a tool call has no name".into())),
                _ => Ok(None),
            };
        };
        let continues = match (&piece.id, &piece.name) {
            (None, None) => true,
            // The name comes after the id.
            (None, Some(_)) if last.name.is_empty() => true,
            (None, Some(name)) => last.name == *name && !last.is_complete(),
            // A server that makes up an id for each piece, or one whose ids come before their names.
            (Some(_), None) => !last.name.is_empty() && !last.is_complete(),
            (Some(_), Some(_)) => last.name.is_empty() && last.id.is_empty(),
        };
        Ok(continues.then_some(at))
    }

    fn take_arguments(
        &mut self,
        at: usize,
        arguments: ArgumentPiece,
        out: &mut Vec<Raw>,
    ) -> Result<(), Error> {
        let call = &mut self.0[at];
        let text = match arguments {
            ArgumentPiece::None => return Ok(()),
            ArgumentPiece::Whole(whole) if call.arguments.is_empty() => whole,
            ArgumentPiece::Whole(whole) if call.arguments == whole => return Ok(()),
            ArgumentPiece::Whole(_) => {
                return Err(Error::InvalidAnswer("a tool call has two sets of arguments".into()));
            }
            ArgumentPiece::Part(part) => part,
        };
        let says_none = call.arguments.is_empty() && text.trim() == "null";
        // Some servers repeat the arguments at the end.
        let is_repeated = text.len() > 1 && text == call.arguments && call.is_complete();
        if text.is_empty() || says_none || is_repeated {
            return Ok(());
        }
        let text = call.halves.join(&text);
        call.arguments.push_str(&text);
        if call.name.is_empty() {
            return Ok(()); // they are sent when the name is known
        }
        let is_new = call.announced.is_none();
        let arguments = if is_new { call.arguments.clone() } else { text };
        let id = self.announce(at, out);
        if is_new || arguments.is_empty() {
            return Ok(());
        }
        out.push(Raw::Chunk(Chunk::ToolCallDelta { id, arguments }));
        Ok(())
    }

    /// Announces the call with the arguments so far, unless it was announced. Returns its id in our chunks.
    fn announce(&mut self, at: usize, out: &mut Vec<Raw>) -> String {
        if let Some(id) = &self.0[at].announced {
            return id.clone();
        }
        let id = self.unique_id(at);
        let call = &mut self.0[at];
        call.announced = Some(id.clone());
        out.push(Raw::Chunk(Chunk::ToolCallStart { id: id.clone(), name: call.name.clone() }));
        if !call.arguments.is_empty() {
            let arguments = call.arguments.clone();
            out.push(Raw::Chunk(Chunk::ToolCallDelta { id: id.clone(), arguments }));
        }
        id
    }

    /// The server's id of the call, unless it has none or another call has the same.
    fn unique_id(&self, at: usize) -> String {
        let is_taken = |id: &str| self.0.iter().any(|call| call.announced.as_deref() == Some(id));
        let own = &self.0[at].id;
        if !own.is_empty() && !is_taken(own) {
            return own.clone();
        }
        let numbered = (at..).map(|number| format!("call_{number}"));
        numbered.into_iter().find(|id| !is_taken(id)).unwrap_or_default()
    }
}

/// Returns `true` if a piece with the index of `call` begins another call. Some servers number all calls alike.
fn begins_another(call: &PartialCall, piece: &Piece) -> bool {
    let Some(name) = &piece.name else { return false };
    if call.name.is_empty() {
        return false;
    }
    if piece.id.is_some() && !call.id.is_empty() {
        return true; // the ids differ, or the id would have been found
    }
    let has_arguments = !call.arguments.is_empty();
    has_arguments && (call.name != *name || call.is_complete() && piece.arguments != ArgumentPiece::None)
}

/// Takes a name that is new, repeated, or the next part of the name.
fn take_name(call: &mut PartialCall, name: &str) -> Result<(), Error> {
    if call.name == name {
        return Ok(());
    }
    if !call.arguments.is_empty() && !call.name.is_empty() {
        return Err(Error::InvalidAnswer("a tool call changes its name".into()));
    }
    if name.starts_with(&call.name) {
        name.clone_into(&mut call.name);
    } else {
        call.name.push_str(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
