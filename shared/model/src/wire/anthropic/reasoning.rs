//! The parameters with which Anthropic's models reason, on Bedrock, too.
//!
//! Models since version 4.6 decide themselves how much they reason, and take an effort; some refuse a budget. Earlier ones
//! need a budget of tokens, which is a part of the limit of the output.
//! See <https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking>.

use serde_json::{Value, json};

use crate::ReasoningEffort;

/// The smallest budget that the API accepts.
const LEAST_BUDGET: u32 = 1024;
/// Tokens that a budget leaves for the answer at least.
const LEAST_ANSWER: u32 = 512;

/// Adds the parameters to the request. Returns `true` if the model will reason.
pub(in crate::wire) fn add(body: &mut Value, model: &str, effort: ReasoningEffort, max_tokens: u32) -> bool {
    let Some(percent) = share(effort) else { return false };
    if is_adaptive(model) {
        body["thinking"] = json!({"type": "adaptive"});
        body["output_config"] = json!({"effort": name(effort)});
        return true;
    }
    let most = max_tokens.saturating_sub(LEAST_ANSWER);
    if most < LEAST_BUDGET {
        return false;
    }
    let budget = (u64::from(max_tokens) * percent / 100).clamp(LEAST_BUDGET.into(), most.into());
    body["thinking"] = json!({"type": "enabled", "budget_tokens": budget});
    true
}

/// The part of the output that is for reasoning, in percent. Returns `None` if the model does not reason.
const fn share(effort: ReasoningEffort) -> Option<u64> {
    match effort {
        ReasoningEffort::None => None,
        ReasoningEffort::Minimal => Some(10),
        ReasoningEffort::Low => Some(20),
        ReasoningEffort::Medium => Some(50),
        ReasoningEffort::High => Some(80),
        ReasoningEffort::Xhigh => Some(90),
    }
}

const fn name(effort: ReasoningEffort) -> &'static str {
    match effort {
        ReasoningEffort::None | ReasoningEffort::Minimal | ReasoningEffort::Low => "low",
        ReasoningEffort::Medium => "medium",
        ReasoningEffort::High => "high",
        ReasoningEffort::Xhigh => "max",
    }
}

fn is_adaptive(model: &str) -> bool {
    is_since(model, 4, 6)
}

/// Returns `true` if the model has this version or a later one. Names are such as `claude-opus-4-6`, `claude-sonnet-5` and
/// `claude-haiku-5-5-20261001`.
pub(super) fn is_since(model: &str, major: u32, minor: u32) -> bool {
    let Some(rest) = model.strip_prefix("claude-") else { return false };
    // A part with more digits is a date.
    let numbers = rest.split('-').skip_while(|part| !part.bytes().all(|byte| byte.is_ascii_digit()));
    let mut version = numbers.take_while(|part| part.len() <= 2).filter_map(|part| part.parse::<u32>().ok());
    let own_major = version.next().unwrap_or(0);
    let own_minor = version.next().unwrap_or(0);
    (own_major, own_minor) >= (major, minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_in_the_name_decides() {
        for adaptive in
            ["claude-opus-4-6", "claude-sonnet-5", "claude-haiku-5-5-20261001", "claude-opus-4-10"]
        {
            assert!(is_adaptive(adaptive), "{adaptive}");
        }
        for other in [
            "claude-sonnet-4-5-20250929",
            "claude-opus-4-20250514",
            "claude-3-7-sonnet-20250219",
            "MiniMax-M2",
        ] {
            assert!(!is_adaptive(other), "{other}");
        }
    }

    #[test]
    fn a_budget_is_a_part_of_the_output() {
        let budget = |effort, max_tokens| {
            let mut body = json!({});
            let reasons = add(&mut body, "claude-sonnet-4-5", effort, max_tokens);
            assert_eq!(reasons, body["thinking"].is_object());
            body["thinking"]["budget_tokens"].as_u64()
        };
        assert_eq!(budget(ReasoningEffort::Medium, 8192), Some(4096));
        assert_eq!(budget(ReasoningEffort::Minimal, 8192), Some(1024));
        assert_eq!(budget(ReasoningEffort::Xhigh, 2000), Some(1488));
        assert_eq!(budget(ReasoningEffort::High, 1500), None);
        assert_eq!(budget(ReasoningEffort::None, 8192), None);
    }
}
