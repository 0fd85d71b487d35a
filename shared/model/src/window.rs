//! The context windows of models.
//!
//! A window is a number of tokens that the input and the output of a request share. Some models also limit the input alone.
//! The built-in list contains what the providers document, as of November 2026:
//! OpenAI's <https://platform.openai.com/docs/models>, Anthropic's
//! <https://platform.claude.com/docs/en/build-with-claude/context-windows>, Google's
//! <https://ai.google.dev/gemini-api/docs/models>, Amazon's
//! <https://docs.aws.amazon.com/nova/latest/userguide/what-is-nova.html>, and for open models the cards of their makers.
//! A server of one's own often has a smaller window than its model, so a [`WindowTable`] accepts overrides.

use std::collections::HashMap;

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
    const fn shared(total: u64) -> Self {
        Self { total, input: total }
    }

    const fn with_input(self, input: u64) -> Self {
        Self { input, ..self }
    }

    /// Returns the tokens of input that leave room for `output` tokens. However much output is wanted, the input may have
    /// three quarters of the window.
    #[must_use]
    pub fn input_beside(self, output: u64) -> u64 {
        self.input.min(self.total - output.min(self.total / 4))
    }
}

/// The built-in windows and a deployment's overrides.
#[derive(Clone, Debug, Default)]
pub struct WindowTable {
    overrides: HashMap<String, u64>,
}

/// An override that is not valid.
#[derive(Debug, thiserror::Error)]
pub enum InvalidWindows {
    /// The text is not a JSON object of numbers.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The window is too small for a conversation.
    #[error("the window of {0} has fewer than {least} tokens", least = WindowTable::LEAST)]
    TooSmall(String),
}

impl WindowTable {
    /// The smallest window that a deployment can state. Instructions and tools alone take more of a smaller one than they
    /// leave.
    const LEAST: u64 = 4_096;

    /// Parses overrides: `{"my-model": 32768, "llama-*": 8192}`. A name that ends with `*` stands for all names that begin
    /// so, and the longest name that fits counts.
    ///
    /// # Errors
    /// If the JSON is not such an object.
    pub fn from_json(json: &str) -> Result<Self, InvalidWindows> {
        let overrides: HashMap<String, u64> = serde_json::from_str(json)?;
        match overrides.iter().find(|(_, tokens)| **tokens < Self::LEAST) {
            Some((name, _)) => Err(InvalidWindows::TooSmall(name.clone())),
            None => Ok(Self { overrides }),
        }
    }

    /// Returns the window of a model, by the provider's name.
    #[must_use]
    pub fn get(&self, model: &str) -> ContextWindow {
        let fits = |pattern: &str| match pattern.strip_suffix('*') {
            Some(beginning) => model.starts_with(beginning),
            None => model == pattern,
        };
        let overridden = self.overrides.iter().filter(|(pattern, _)| fits(pattern));
        match overridden.max_by_key(|(pattern, _)| pattern.trim_end_matches('*').len()) {
            Some((_, tokens)) => ContextWindow::shared(*tokens),
            None => listed(model),
        }
    }
}

/// Returns the window of the longest beginning in the list. A name may have its maker or a gateway before it, such as
/// `meta-llama/llama-3.1-70b` or `eu.anthropic.claude-sonnet-4-5`.
fn listed(model: &str) -> ContextWindow {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let plain = name.split_once("anthropic.").map_or(name.as_str(), |(_, plain)| plain);
    let known = LIST.iter().filter(|(beginning, _)| plain.starts_with(beginning));
    known.max_by_key(|(beginning, _)| beginning.len()).map_or(ContextWindow::DEFAULT, |(_, window)| *window)
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
        let table = WindowTable::default();
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
            assert_eq!(table.get(model).input, input, "{model}");
        }
    }

    #[test]
    fn an_operator_states_the_window_of_a_server() {
        let json = r#"{"llama-*": 8192, "llama-3.3-70b": 65536, "gpt-4o": 64000}"#;
        let table = WindowTable::from_json(json).unwrap();
        assert_eq!(table.get("llama-3.1-8b").total, 8_192);
        assert_eq!(table.get("llama-3.3-70b").total, 65_536);
        assert_eq!(table.get("gpt-4o").total, 64_000);
        assert_eq!(table.get("gpt-4o-mini").total, 128_000);
        for invalid in [r#"{"a": 100}"#, r#"{"a": -1}"#, r#"["a"]"#] {
            assert!(WindowTable::from_json(invalid).is_err(), "{invalid}");
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
