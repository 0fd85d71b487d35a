//! The attributes of a model call.

use sequent_core::{MicroUsd, Timestamp};
use sequent_event::{ChosenParameters, Usage};
use serde_json::json;

use crate::Span;

/// The conventions' name of a provider.
pub(crate) fn provider_name(provider: &str) -> &str {
    match provider {
        "bedrock" => "aws.bedrock",
        other => other,
    }
}

/// Describes a call, its usage and its end.
pub(crate) fn describe(span: &mut Span, usage: &Usage) {
    span.set("gen_ai.operation.name", "chat");
    span.set("gen_ai.provider.name", provider_name(&usage.provider));
    span.set("gen_ai.request.model", usage.model.as_str());
    span.set("gen_ai.request.stream", true);
    span.set("gen_ai.response.model", usage.model.as_str());
    span.set("gen_ai.response.finish_reasons", vec![usage.finish_reason.clone()]);
    describe_tokens(span, usage);
    if let Some(request) = &usage.request {
        span.set("sequent.request.purpose", request.purpose.as_str());
        span.set_some("gen_ai.request.max_tokens", request.max_output_tokens);
    }
    match usage.finish_reason.as_str() {
        Usage::ABANDONED => span.fail("abandoned", "The process that read the response was lost."),
        Usage::FAILED => span.fail("model_error", "The model's response has failed."),
        _ => {}
    }
}

fn describe_tokens(span: &mut Span, usage: &Usage) {
    let some = |tokens: u64| Some(tokens).filter(|tokens| *tokens > 0);
    span.set("gen_ai.usage.input_tokens", usage.input_tokens);
    span.set("gen_ai.usage.output_tokens", usage.output_tokens);
    span.set_some("gen_ai.usage.cache_read.input_tokens", some(usage.cached_input_tokens));
    span.set_some("gen_ai.usage.cache_write.input_tokens", some(usage.cache_write_tokens));
    span.set_some("gen_ai.usage.reasoning.output_tokens", some(usage.reasoning_tokens));
    if usage.estimated {
        span.set("sequent.usage.estimated", true);
    }
    span.set("langfuse.observation.usage_details", langfuse_usage(usage));
    span.set_some("langfuse.observation.cost_details", usage.cost_micro_usd.map(langfuse_cost));
}

/// The usage as Langfuse adds it up, where no token is counted twice. Langfuse reads the attributes of the conventions as
/// well, but not the integers of OTLP's JSON, which are texts.
fn langfuse_usage(usage: &Usage) -> String {
    let cached = usage.cached_input_tokens + usage.cache_write_tokens;
    let mut details = json!({
        "input": usage.input_tokens.saturating_sub(cached),
        "output": usage.output_tokens.saturating_sub(usage.reasoning_tokens),
    });
    for (name, tokens) in [
        ("input_cached_tokens", usage.cached_input_tokens),
        ("input_cache_creation", usage.cache_write_tokens),
        ("output_reasoning_tokens", usage.reasoning_tokens),
    ] {
        if tokens > 0 {
            details[name] = tokens.into();
        }
    }
    details.to_string()
}

/// The cost in US dollars, whose digits are those of the integer.
fn langfuse_cost(MicroUsd(cost): MicroUsd) -> String {
    format!(r#"{{"total":{}.{:06}}}"#, cost / 1_000_000, cost % 1_000_000)
}

/// Records the time at which the first part of a response came.
pub(crate) fn begin_response(span: &mut Span, at: Timestamp) {
    let at = at.max(span.start);
    span.set("gen_ai.response.time_to_first_chunk", at.since(span.start).as_secs_f64());
    span.set("langfuse.observation.completion_start_time", at.to_string());
}

/// Describes the parameters that the caller of the run has chosen.
pub(crate) fn describe_parameters(span: &mut Span, chosen: &ChosenParameters) {
    let number = |number: &Option<serde_json::Number>| number.as_ref().and_then(serde_json::Number::as_f64);
    span.set_some("gen_ai.request.temperature", number(&chosen.temperature));
    span.set_some("gen_ai.request.top_p", number(&chosen.top_p));
    span.set_some("gen_ai.request.seed", chosen.seed);
    span.set_some("gen_ai.request.reasoning.level", chosen.reasoning_effort.clone());
    if !chosen.stop.is_empty() {
        span.set("gen_ai.request.stop_sequences", chosen.stop.clone());
    }
}
