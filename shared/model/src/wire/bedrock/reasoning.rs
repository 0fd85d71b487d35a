//! The fields with which models on Bedrock reason. Converse passes them on as they are, and each maker has its own.
//!
//! | models | fields | source |
//! |---|---|---|
//! | Claude | those of Anthropic's own API | <https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html> |
//! | Nova 2 | `reasoningConfig`, with `low`, `medium` and `high` | <https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html> |
//! | gpt-oss | `reasoning_effort`, with `low`, `medium` and `high` | <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html> |
//! | GPT | `reasoning.effort`; `reasoning_effort` is refused | <https://github.com/stdapi-ai/stdapi.ai/issues/283> |
//!
//! Other models get no field. The first Nova and Llama do not reason, and DeepSeek R1 and Kimi K2 Thinking always do. DeepSeek V3
//! takes `reasoning_effort`, but makes no calls then (<https://github.com/langchain-ai/langchain-aws/pull/1261>).

use serde_json::{Value, json};

use crate::{
    ReasoningEffort, Request,
    wire::{
        Omitted, Parameter,
        anthropic::{DEFAULT_OUTPUT, reasoning},
    },
};

/// The part of a request that says how much the model reasons, and what follows for the other parts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ReasoningFields {
    /// The fields, if the request has any.
    pub(super) fields: Option<Value>,
    /// The model takes neither a temperature nor `topP` beside the fields.
    pub(super) excludes_sampling: bool,
    /// The model needs this limit of the output, because its budget for reasoning is a part of it.
    pub(super) needs_limit: Option<u32>,
}

impl ReasoningFields {
    /// Returns the fields for the model of `request`.
    pub(super) fn of(model: &str, request: &Request, omitted: &Omitted) -> Self {
        let effort = request.parameters.reasoning_effort;
        let Some(effort) = effort.filter(|_| !omitted.has(Parameter::ReasoningEffort)) else {
            return Self::default();
        };
        if let Some((_, name)) = model.split_once("anthropic.") {
            let is_forced =
                request.must_call && !request.tools.is_empty() && !omitted.has(Parameter::ForcedCall);
            return if is_forced { Self::default() } else { Self::of_claude(name, effort, request) };
        }
        if model.contains("amazon.nova-2") {
            return Self::of_nova(effort, request.max_output_tokens.is_some());
        }
        match model.split_once("openai.") {
            Some((_, name)) => Self::with(of_openai(name, effort)),
            None => Self::default(),
        }
    }

    fn with(fields: Value) -> Self {
        Self { fields: Some(fields), ..Self::default() }
    }

    fn of_claude(name: &str, effort: ReasoningEffort, request: &Request) -> Self {
        let limit = request.max_output_tokens.unwrap_or(DEFAULT_OUTPUT);
        let mut fields = json!({});
        if !reasoning::add(&mut fields, name, effort, limit) {
            return Self::default();
        }
        Self { excludes_sampling: true, needs_limit: Some(limit), ..Self::with(fields) }
    }

    /// The highest effort excludes a limit of the output, which the run may depend on, so that such a request has the one
    /// below. Without a field, the model does not reason.
    fn of_nova(effort: ReasoningEffort, is_limited: bool) -> Self {
        if effort == ReasoningEffort::None {
            return Self::default();
        }
        let level = match three_levels(effort) {
            "high" if is_limited => "medium",
            level => level,
        };
        let fields = json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}});
        Self { excludes_sampling: level == "high", ..Self::with(fields) }
    }
}

fn of_openai(name: &str, effort: ReasoningEffort) -> Value {
    if name.starts_with("gpt-oss") {
        // It always reasons.
        return json!({"reasoning_effort": three_levels(effort)});
    }
    let effort = match effort {
        ReasoningEffort::Minimal => ReasoningEffort::Low, // newer models refuse it
        effort => effort,
    };
    json!({"reasoning": {"effort": effort.as_str()}})
}

/// Returns the effort of a model that has three of them.
const fn three_levels(effort: ReasoningEffort) -> &'static str {
    match effort {
        ReasoningEffort::None | ReasoningEffort::Minimal | ReasoningEffort::Low => "low",
        ReasoningEffort::Medium => "medium",
        ReasoningEffort::High | ReasoningEffort::Xhigh => "high",
    }
}
