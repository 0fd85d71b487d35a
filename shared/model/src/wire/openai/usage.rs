//! Reports of the used tokens, under the names of several servers.

use crate::{
    Usage,
    wire::json::{self, Object},
};

/// Reads a report. Returns `None` if it contains no numbers.
pub(super) fn read(report: &Object) -> Option<Usage> {
    let input = json::first_number(report, &["prompt_tokens", "input_tokens"]);
    let output = json::first_number(report, &["completion_tokens", "output_tokens"]);
    if input.is_none() && output.is_none() {
        return None;
    }
    let in_details = |names: [&str; 2], field: &str| {
        names.iter().find_map(|name| json::number(json::object(report, name)?.get(field)))
    };
    let cached = in_details(["prompt_tokens_details", "input_tokens_details"], "cached_tokens");
    // DeepSeek and Moonshot.
    let cached = cached.or_else(|| json::first_number(report, &["prompt_cache_hit_tokens", "cached_tokens"]));
    // OpenRouter, for models whose caches cost something to write.
    let written = in_details(["prompt_tokens_details", "input_tokens_details"], "cache_write_tokens");
    let reasoning = in_details(["completion_tokens_details", "output_tokens_details"], "reasoning_tokens");
    let reasoning = reasoning.or_else(|| json::number(report.get("reasoning_tokens"))).unwrap_or(0);
    let input_tokens = input.unwrap_or(0);
    let output = output.unwrap_or(0);
    let hidden = hidden_output(report, input_tokens, output, reasoning);
    Some(Usage {
        input_tokens,
        output_tokens: output + hidden,
        cached_input_tokens: cached.unwrap_or(0),
        cache_write_tokens: written.unwrap_or(0),
        reasoning_tokens: reasoning.max(hidden),
        estimated: false,
    })
}

/// Returns the tokens of reasoning that the server has counted in the total but not in the output, as xAI and Google do.
fn hidden_output(report: &Object, input: u64, output: u64, reasoning: u64) -> u64 {
    let total = json::number(report.get("total_tokens")).unwrap_or(0);
    let hidden = total.saturating_sub(input.saturating_add(output));
    if reasoning == 0 || hidden == reasoning { hidden } else { 0 }
}
