//! Parses the directives of a `/demo` line.

use std::time::Duration;

use crate::{Error, FinishReason};

/// The directives for one response.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Script {
    pub(super) tokens: Option<u64>,
    pub(super) rate: Option<u32>,
    pub(super) delay_first: Duration,
    pub(super) reasoning: u64,
    pub(super) fail_after: Option<u64>,
    /// The error of `fail_after`. Without one, the stream ends like a lost connection.
    pub(super) error: Option<Error>,
    pub(super) hang_after: Option<u64>,
    pub(super) finish: FinishReason,
    pub(super) reports_usage: bool,
    /// Names and arguments of calls.
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

// The limits protect the time and memory of a public deployment.
const MAX_TOKENS: u64 = 100_000;
const MAX_RATE: u64 = 1_000_000;
const MAX_DELAY_MS: u64 = 900_000;

fn unavailable() -> Error {
    Error::Unavailable("the script of the demo asked for this error".into())
}

impl Script {
    /// Finds the script for the response after `responses` earlier ones to the same message. Returns an empty
    /// script if there is none.
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
        let invalid = || {
            let shown: String = word.chars().take(40).collect();
            Error::BadRequest(format!("`{shown}` is not a valid directive of the demo"))
        };
        let number = |max: u64| match value.parse::<u64>() {
            Ok(number) if number <= max => Ok(number),
            _ => Err(invalid()),
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
                    "garbage" => {
                        Some(Error::InvalidAnswer("the script of the demo asked for this error".into()))
                    }
                    "truncated" => None,
                    _ => return Err(invalid()),
                }
            }
            "finish" => {
                self.finish = match value {
                    "stop" => FinishReason::Stop,
                    "length" => FinishReason::Length,
                    "content_filter" => FinishReason::ContentFilter,
                    _ => return Err(invalid()),
                }
            }
            "usage" if value == "none" => self.reports_usage = false,
            "tool" if !value.is_empty() => self.tools.push((value.into(), "{}".into())),
            "args" => {
                serde_json::from_str::<serde_json::Value>(value).map_err(|_| invalid())?;
                self.tools.last_mut().ok_or_else(invalid)?.1 = value.into();
            }
            _ => return Err(invalid()),
        }
        Ok(())
    }
}
