//! The tool calls of a message and their chunks.

use super::chunk::{Chunk, Json};

/// The calls without a result.
#[derive(Debug, Clone)]
pub(super) struct ToolCalls {
    /// Calls whose arguments are being written.
    open: Vec<PartialCall>,
    /// The ids of complete calls.
    pending: Vec<String>,
}

#[derive(Debug, Clone)]
struct PartialCall {
    id: String,
    tool: String,
    arguments: String,
}

impl ToolCalls {
    pub(super) const fn new() -> Self {
        Self { open: Vec::new(), pending: Vec::new() }
    }

    /// Returns `true` if all calls have results.
    pub(super) fn have_results(&self) -> bool {
        self.open.is_empty() && self.pending.is_empty()
    }

    pub(super) fn start(&mut self, id: &str, tool: &str) -> Chunk {
        self.open.push(PartialCall { id: id.to_owned(), tool: tool.to_owned(), arguments: String::new() });
        Chunk::ToolInputStart {
            tool_call_id: id.to_owned(),
            tool_name: tool.to_owned(),
            provider_executed: true,
        }
    }

    pub(super) fn append_arguments(&mut self, id: &str, delta: &str) -> Option<Chunk> {
        let call = self.open.iter_mut().find(|call| call.id == id)?;
        call.arguments.push_str(delta);
        Some(Chunk::ToolInputDelta { tool_call_id: id.to_owned(), input_text_delta: delta.to_owned() })
    }

    /// The arguments are complete: the tool is called.
    pub(super) fn complete(&mut self, id: &str) -> Option<Chunk> {
        let index = self.open.iter().position(|call| call.id == id)?;
        let call = self.open.remove(index);
        self.pending.push(call.id.clone());
        Some(Chunk::ToolInputAvailable {
            tool_call_id: call.id,
            tool_name: call.tool,
            input: Json::of_arguments(&call.arguments),
            provider_executed: true,
        })
    }

    pub(super) fn result(&mut self, id: &str, content: &str) -> Chunk {
        self.pending.retain(|pending| pending != id);
        Chunk::ToolOutputAvailable {
            tool_call_id: id.to_owned(),
            output: Json::of(content),
            provider_executed: true,
        }
    }

    /// Gives an error to all calls without a result.
    pub(super) fn fail(&mut self, error_text: &'static str) -> Vec<Chunk> {
        let open = std::mem::take(&mut self.open).into_iter().map(|call| Chunk::ToolInputError {
            tool_call_id: call.id,
            tool_name: call.tool,
            input: Json::of_arguments(&call.arguments),
            error_text,
            provider_executed: true,
        });
        let pending = std::mem::take(&mut self.pending).into_iter();
        let pending = pending.map(|tool_call_id| Chunk::ToolOutputError {
            tool_call_id,
            error_text,
            provider_executed: true,
        });
        open.chain(pending).collect()
    }

    /// Forgets the complete calls: the next execution gives their results.
    pub(super) fn forget_pending(&mut self) {
        self.pending.clear();
    }
}
