//! Estimates tokens for providers that do not report them.
//!
//! A token is estimated as four bytes of ASCII, or as one other character. For prose this is within about 20
//! % of the usual tokenizers, and too high rather than too low for other scripts. A better estimate would
//! need each model's vocabulary.

use crate::{Chunk, Request, Usage};

/// The estimated tokens of an answer that is being streamed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    input: Tally,
    output: Tally,
    reasoning: Tally,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    ascii: u64,
    other: u64,
}

impl Tally {
    fn add(&mut self, text: &str) {
        let ascii = text.bytes().filter(u8::is_ascii).count();
        let other = text.chars().filter(|c| !c.is_ascii()).count();
        self.ascii += ascii as u64;
        self.other += other as u64;
    }

    fn tokens(self) -> u64 {
        self.ascii.div_ceil(4) + self.other
    }
}

/// Estimates the tokens of a text.
pub(crate) fn tokens(text: &str) -> u64 {
    let mut tally = Tally::default();
    tally.add(text);
    tally.tokens()
}

impl Meter {
    /// Creates a meter with the request as its input.
    pub(crate) fn new(request: &Request) -> Self {
        let mut meter = Self::default();
        for text in request.texts() {
            meter.input.add(text);
        }
        for tool in &request.tools {
            meter.input.add(&tool.name);
            meter.input.add(&tool.description);
            meter.input.add(&tool.parameters.to_string());
        }
        meter
    }

    /// Counts a chunk as output.
    pub(crate) fn add(&mut self, chunk: &Chunk) {
        match chunk {
            Chunk::TextDelta(text) => self.output.add(text),
            Chunk::ReasoningDelta(text) => self.reasoning.add(text),
            Chunk::ToolCallStart { name, .. } => self.output.add(name),
            Chunk::ToolCallDelta { arguments, .. } => self.output.add(arguments),
            Chunk::ToolCallEnd { .. } | Chunk::Finished { .. } => {}
        }
    }

    /// Returns the approximate bytes of output so far.
    pub(crate) fn size(&self) -> u64 {
        [self.output, self.reasoning].iter().map(|tally| tally.ascii + 3 * tally.other).sum()
    }

    /// Returns the estimate so far.
    pub(crate) fn usage(&self) -> Usage {
        let reasoning_tokens = self.reasoning.tokens();
        Usage {
            input_tokens: self.input.tokens(),
            output_tokens: self.output.tokens() + reasoning_tokens,
            cached_input_tokens: 0,
            reasoning_tokens,
            estimated: true,
        }
    }
}
