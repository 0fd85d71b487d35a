//! Estimates tokens for providers that do not report them, and recognises an answer that is longer than its limit.
//!
//! A token is estimated as four bytes of ASCII, or as one other character. For prose this is within about 20
//! % of the usual tokenizers, and too high rather than too low for other scripts. A better estimate would
//! need each model's vocabulary.

use crate::{Chunk, Request, Usage};

/// Tokens by which a short answer may seem to exceed its limit.
const SLACK: u64 = 32;

/// The estimated tokens of an answer that is being streamed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    input: Tally,
    /// The tokens of the files in the input.
    files: u64,
    output: Tally,
    reasoning: Tally,
    /// The limit of the output's tokens.
    limit: Option<u64>,
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

    /// A number of tokens that the text has at least. A token of the usual tokenizers has fewer than eight bytes of ASCII, or
    /// five other characters, on average over a text.
    fn least_tokens(self) -> u64 {
        self.ascii / 8 + self.other / 5
    }
}

/// Estimates the tokens of a text.
#[must_use]
pub fn tokens(text: &str) -> u64 {
    let mut tally = Tally::default();
    tally.add(text);
    tally.tokens()
}

impl Meter {
    /// Creates a meter with the request as its input.
    pub(crate) fn new(request: &Request) -> Self {
        let mut meter = Self { limit: request.max_output_tokens.map(u64::from), ..Self::default() };
        for text in request.texts() {
            meter.input.add(text);
        }
        meter.files = request.files().map(|file| file.tokens).sum();
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
            Chunk::ProviderData { .. } | Chunk::ToolCallEnd { .. } | Chunk::Finished { .. } => {}
        }
    }

    /// Returns the approximate bytes of output so far.
    pub(crate) fn size(&self) -> u64 {
        [self.output, self.reasoning].iter().map(|tally| tally.ascii + 3 * tally.other).sum()
    }

    /// Returns `true` if the provider does not keep to the limit of the output.
    ///
    /// The estimate alone does not show it: it can be three times too high, for example for Cyrillic text, and an answer
    /// that keeps to its limit must not be cut.
    pub(crate) fn exceeds_limit(&self) -> bool {
        let least = self.output.least_tokens() + self.reasoning.least_tokens();
        self.limit.is_some_and(|limit| least > limit.saturating_add(limit / 8).saturating_add(SLACK))
    }

    /// Returns the estimate so far. It is not above the limit of a provider that keeps to it.
    pub(crate) fn usage(&self) -> Usage {
        let most = self.limit.filter(|_| !self.exceeds_limit()).unwrap_or(u64::MAX);
        let reasoning_tokens = self.reasoning.tokens().min(most);
        Usage {
            input_tokens: self.input.tokens() + self.files,
            output_tokens: (self.output.tokens() + reasoning_tokens).min(most),
            cached_input_tokens: 0,
            cache_write_tokens: 0,
            reasoning_tokens,
            estimated: true,
        }
    }
}
