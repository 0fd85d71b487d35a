//! The steps of a message: a model call, with the results of its calls, is one.

use super::chunk::{Chunk, Metadata};

/// The steps of a message.
#[derive(Debug, Clone)]
pub(super) struct Steps {
    /// Between `start-step` and `finish-step`.
    is_open: bool,
    /// The next part belongs to another model call, and so to another step.
    is_over: bool,
    /// The execution goes on with the step of the one before, and has not begun another.
    continues: bool,
}

impl Steps {
    pub(super) const fn new() -> Self {
        Self { is_open: false, is_over: false, continues: false }
    }

    /// An execution starts. A step that is open goes on.
    pub(super) fn enter(&mut self, out: &mut Vec<Chunk>) {
        self.continues = self.is_open;
        if !self.is_open {
            self.start(out);
        }
    }

    /// The part after this one belongs to another step.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// Starts another step if the last part has ended the present one.
    pub(super) fn next(&mut self, out: &mut Vec<Chunk>) {
        if self.is_over {
            self.finish(out);
            self.start(out);
        }
    }

    /// Finishes the step that is open.
    pub(super) fn finish(&mut self, out: &mut Vec<Chunk>) {
        if self.is_open {
            self.is_open = false;
            out.push(Chunk::FinishStep);
        }
    }

    /// Finishes the last step of the message. It must not be one whose calls the client has answered: the SDK would send the
    /// message again. The SDK keeps the start of a step only when it handles a chunk that changes the message.
    pub(super) fn finish_last(&mut self, out: &mut Vec<Chunk>) {
        if self.continues {
            self.finish(out);
            self.start(out);
            out.push(Chunk::MessageMetadata { message_metadata: Metadata::default() });
        }
        self.finish(out);
    }

    fn start(&mut self, out: &mut Vec<Chunk>) {
        *self = Self { is_open: true, is_over: false, continues: false };
        out.push(Chunk::StartStep);
    }
}
