//! The context windows of models.
//!
//! A window is a number of tokens that the input and the output of a request share. Some models also limit the input alone.
//! The built-in list contains what the providers document, as of November 2026:
//! OpenAI's <https://platform.openai.com/docs/models>, Anthropic's
//! <https://platform.claude.com/docs/en/build-with-claude/context-windows>, Google's
//! <https://ai.google.dev/gemini-api/docs/models>, Amazon's
//! <https://docs.aws.amazon.com/nova/latest/userguide/what-is-nova.html>, and for open models the cards of their makers.
//! A server of one's own often has a smaller window than its model, so an operator can state another one
//! ([`AbilityTable`](crate::AbilityTable)).

/// The tokens that a model takes in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextWindow {
    /// The most tokens of input and output together.
    pub total: u64,
    /// The most tokens of input.
    pub input: u64,
}

impl ContextWindow {
    /// The window of a model that is not in the list. Most models of today have at least this one.
    const DEFAULT: Self = Self::shared(128_000);

    /// A window that input and output share freely.
    pub(crate) const fn shared(total: u64) -> Self {
        Self { total, input: total }
    }

    const fn with_input(self, input: u64) -> Self {
        Self { input, ..self }
    }

    /// Returns the window of the longest beginning in the list, by the provider's name of the model. The name may have its maker
    /// or a gateway before it, such as `meta-llama/llama-3.1-70b` or `eu.anthropic.claude-sonnet-4-5`.
    pub(crate) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
        let plain = name.split_once("anthropic.").map_or(name.as_str(), |(_, plain)| plain);
        let known = LIST.iter().filter(|(beginning, _)| plain.starts_with(beginning));
        known.max_by_key(|(beginning, _)| beginning.len()).map_or(Self::DEFAULT, |(_, window)| *window)
    }

    /// Returns the tokens of input that leave room for `output` tokens. However much output is wanted, the input may have
    /// three quarters of the window.
    #[must_use]
    pub fn input_beside(self, output: u64) -> u64 {
        self.input.min(self.total - output.min(self.total / 4))
    }
}

const GPT_5: ContextWindow = ContextWindow::shared(400_000).with_input(272_000);
const GPT_5_LARGE: ContextWindow = ContextWindow::shared(1_050_000).with_input(922_000);
const MILLION: ContextWindow = ContextWindow::shared(1_000_000);
const CLAUDE: ContextWindow = ContextWindow::shared(200_000);

const LIST: &[(&str, ContextWindow)] = &[
    ("gpt-3.5", ContextWindow::shared(16_385)),
    ("gpt-4", ContextWindow::shared(8_192)),
    ("gpt-4-turbo", ContextWindow::shared(128_000)),
    ("gpt-4o", ContextWindow::shared(128_000)),
    ("gpt-4.1", ContextWindow::shared(1_047_576)),
    ("gpt-5", GPT_5),
    ("gpt-5-chat", ContextWindow::shared(128_000)),
    ("gpt-5.1-chat", ContextWindow::shared(128_000)),
    ("gpt-5.2-chat", ContextWindow::shared(128_000)),
    ("gpt-5.4", GPT_5_LARGE),
    ("gpt-5.4-mini", GPT_5),
    ("gpt-5.4-nano", GPT_5),
    ("gpt-5.5", GPT_5_LARGE),
    ("gpt-5.6", GPT_5_LARGE),
    ("gpt-6", GPT_5_LARGE),
    ("gpt-oss", ContextWindow::shared(131_072)),
    ("o1", ContextWindow::shared(200_000)),
    ("o1-mini", ContextWindow::shared(128_000)),
    ("o3", ContextWindow::shared(200_000)),
    ("o4", ContextWindow::shared(200_000)),
    ("claude", CLAUDE),
    ("claude-haiku-5", MILLION),
    ("claude-sonnet-4-6", MILLION),
    ("claude-sonnet-5", MILLION),
    ("claude-opus-4-6", MILLION),
    ("claude-opus-4-7", MILLION),
    ("claude-opus-4-8", MILLION),
    ("claude-opus-5", MILLION),
    ("claude-fable", MILLION),
    ("claude-mythos", MILLION),
    ("gemini", ContextWindow::shared(1_048_576)),
    ("gemma-3", ContextWindow::shared(128_000)),
    ("gemma-2", ContextWindow::shared(8_192)),
    ("amazon.nova-micro", ContextWindow::shared(128_000)),
    ("amazon.nova-", ContextWindow::shared(300_000)),
    ("deepseek", ContextWindow::shared(128_000)),
    ("llama-2", ContextWindow::shared(4_096)),
    ("llama-3-", ContextWindow::shared(8_192)),
    ("llama-3.", ContextWindow::shared(128_000)),
    ("llama-4", ContextWindow::shared(1_000_000)),
    ("mistral-7b", ContextWindow::shared(32_768)),
    ("mixtral-8x7b", ContextWindow::shared(32_768)),
    ("qwen2", ContextWindow::shared(32_768)),
    ("qwen3", ContextWindow::shared(131_072)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_of_a_name_counts() {
        for (model, input) in [
            ("gpt-5.4-mini", 272_000),
            ("gpt-5.4-2026-03-05", 922_000),
            ("gpt-5.2", 272_000),
            ("gpt-4o-mini", 128_000),
            ("gpt-4-0613", 8_192),
            ("o3-mini", 200_000),
            ("claude-haiku-4-5-20251001", 200_000),
            ("claude-opus-4-6", 1_000_000),
            ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", 200_000),
            ("meta-llama/Llama-3.1-70B-Instruct", 128_000),
            ("my-own-model", 128_000),
            ("demo", 128_000),
        ] {
            assert_eq!(ContextWindow::of(model).input, input, "{model}");
        }
    }

    #[test]
    fn the_output_leaves_most_of_the_window_to_the_input() {
        let window = ContextWindow::shared(128_000);
        assert_eq!(window.input_beside(8_000), 120_000);
        assert_eq!(window.input_beside(100_000), 96_000);
        assert_eq!(GPT_5.input_beside(32_768), 272_000);
    }
}
