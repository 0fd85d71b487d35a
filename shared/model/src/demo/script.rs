//! Reads the directives of a `/demo` line.

use std::time::Duration;

use crate::{Error, FinishReason};

/// What a person asked the demo to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Script {
    pub(super) tokens: Option<u64>,
    pub(super) rate: Option<u32>,
    pub(super) delay_first: Duration,
    pub(super) reasoning: u64,
    pub(super) fail_after: Option<u64>,
    /// `None` is a cut: the stream just ends.
    pub(super) error: Option<Error>,
    pub(super) hang_after: Option<u64>,
    pub(super) finish: FinishReason,
    pub(super) reports_usage: bool,
    /// Names and arguments.
    pub(super) tools: Vec<(String, String)>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            tokens: None,
            rate: None,
            delay_first: Duration::ZERO,
            reasoning: 0,
            fail_after: None,
            error: Some(unavailable()),
            hang_after: None,
            finish: FinishReason::Stop,
            reports_usage: true,
            tools: Vec::new(),
        }
    }
}

/// Limits that keep a public demo from being a way to burn time or memory.
const MAX_TOKENS: u64 = 100_000;
const MAX_RATE: u64 = 1_000_000;
const MAX_DELAY_MS: u64 = 900_000;

fn unavailable() -> Error {
    Error::Unavailable("the demo was told to fail".into())
}

impl Script {
    /// The script of the response that follows `responses` others to the same message; empty if it has none.
    pub(super) fn find(text: &str, responses: usize) -> Result<Self, Error> {
        let mut script = Self::default();
        let mut lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("/demo"));
        for word in lines.nth(responses).into_iter().flat_map(str::split_whitespace) {
            script.apply(word)?;
        }
        Ok(script)
    }

    fn apply(&mut self, word: &str) -> Result<(), Error> {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let wrong = || {
            // The word is the person's own, and short because it is one word of a line.
            let shown: String = word.chars().take(40).collect();
            Error::BadRequest(format!("the demo does not understand `{shown}`"))
        };
        let number = |most: u64| match value.parse::<u64>() {
            Ok(number) if number <= most => Ok(number),
            _ => Err(wrong()),
        };
        match name {
            "tokens" => self.tokens = Some(number(MAX_TOKENS)?),
            "rate" => self.rate = Some(number(MAX_RATE)? as u32),
            "delay_first" => self.delay_first = Duration::from_millis(number(MAX_DELAY_MS)?),
            "reasoning" => self.reasoning = number(MAX_TOKENS)?,
            "fail_after" => self.fail_after = Some(number(MAX_TOKENS)?),
            "hang_after" => self.hang_after = Some(number(MAX_TOKENS)?),
            "error" => {
                self.error = match value {
                    "unavailable" => Some(unavailable()),
                    "rate_limited" => Some(Error::RateLimited { retry_after: None }),
                    "overloaded" => Some(Error::Overloaded { retry_after: None }),
                    "garbage" => Some(Error::Garbage("the demo was told to".into())),
                    "truncated" => None,
                    _ => return Err(wrong()),
                }
            }
            "finish" => {
                self.finish = match value {
                    "stop" => FinishReason::Stop,
                    "length" => FinishReason::Length,
                    "content_filter" => FinishReason::ContentFilter,
                    _ => return Err(wrong()),
                }
            }
            "usage" if value == "none" => self.reports_usage = false,
            "tool" if !value.is_empty() => self.tools.push((value.into(), "{}".into())),
            "args" => {
                serde_json::from_str::<serde_json::Value>(value).map_err(|_| wrong())?;
                self.tools.last_mut().ok_or_else(wrong)?.1 = value.into();
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }
}
