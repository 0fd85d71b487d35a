//! Points of a request up to which Anthropic and Bedrock cache it. They cache nothing without them.
//!
//! The first is behind the tools and the instructions, which are the same for all requests of a kind. Two more are at the ends
//! of the last turns of people and tools: the next request begins with these turns, or, if the last one was only for this
//! request, with those before it. See <https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching>.

use serde_json::Value;

use super::turns::WireTurn;
use crate::Request;

/// Turns of people and tools that end with a point.
const TURNS: usize = 2;

/// Returns `true` if a request with the same beginning is likely. Otherwise writing the turns to the cache costs more than it
/// saves.
pub(super) fn continues(turns: &[WireTurn], request: &Request) -> bool {
    turns.len() > 1 || (!request.tools.is_empty() && !request.must_call)
}

/// Returns the contents of the messages that end with a point.
pub(super) fn ends<'a>(
    messages: impl DoubleEndedIterator<Item = &'a mut Value>,
) -> impl Iterator<Item = &'a mut Value> {
    let turns = messages.rev().filter(|message| message["role"] == "user");
    turns.take(TURNS).map(|message| &mut message["content"])
}
