//! The usage of a model call whose owner was lost in the middle of the response.
//!
//! The provider charges for the call, and its usage was known to the lost owner alone. The process that continues or ends the
//! run records an estimate: the input of the call, and the output that is in the log. The estimate is no higher than what
//! was left of the run's cost limit, because the call was limited to that. A call of which nothing is in the log is not
//! counted: it may never have been made.

use std::borrow::Cow;

use sequent_core::MicroUsd;
use sequent_event::{Body, State, Usage};
use sequent_model::{ModelName, estimate_tokens, price::Pricing};
use sequent_runlog::Segment;

/// Tokens of the instructions and tools of a request.
const AROUND: u64 = 1_000;

/// The call that was lost with the owner of a run.
#[derive(Debug, Clone)]
pub struct LostCall {
    /// The model that was asked, as far as that is known.
    pub model: Option<ModelName>,
    /// Tokens of the request. Estimated from the log if `None`, without the earlier turns of the conversation.
    pub input_tokens: Option<u64>,
    /// The reason for the end of the response: [`Usage::ABANDONED`] if it is requested again, or [`Usage::CANCELLED`].
    pub finish_reason: &'static str,
}

impl LostCall {
    /// Builds the event that records the call. `segments` are the log of the run, whose state is `state`.
    #[must_use]
    pub fn recorded(&self, pricing: &Pricing, state: &State, segments: &[Segment]) -> Body {
        let logged = LoggedTexts::in_log(segments);
        let reasoning_tokens = estimate_tokens(&logged.reasoning);
        let used = sequent_model::Usage {
            input_tokens: self.input_tokens.unwrap_or(AROUND + logged.input_tokens),
            output_tokens: estimate_tokens(&logged.output) + reasoning_tokens,
            cached_input_tokens: 0,
            cache_write_tokens: 0,
            reasoning_tokens,
            estimated: true,
        };
        let model = self.model.as_ref();
        let cost = model.and_then(|model| pricing.cost(model, &used));
        let limit = state.configuration.budget.max_cost_micro_usd.map(MicroUsd);
        let left = limit.map(|limit| MicroUsd(limit.0.saturating_sub(state.totals.cost_micro_usd.0)));
        let parts = model.map(ModelName::split);
        let is_cut = self.finish_reason != Usage::ABANDONED;
        let told = state.draft.as_ref().filter(|_| is_cut).and_then(|draft| u32::try_from(draft.told).ok());
        Body::UsageRecorded(Usage {
            provider: parts.map_or("unknown", |parts| parts.0.as_str()).to_owned(),
            model: parts.map_or("unknown", |parts| parts.1).to_owned(),
            input_tokens: used.input_tokens,
            output_tokens: used.output_tokens,
            cached_input_tokens: 0,
            cache_write_tokens: 0,
            reasoning_tokens,
            cost_micro_usd: cost.map(|cost| left.map_or(cost, |left| cost.min(left))),
            estimated: true,
            latency_ms: 0,
            finish_reason: self.finish_reason.to_owned(),
            messages_told: told,
            request: None,
        })
    }
}

/// The texts of a log around the call that is not recorded.
#[derive(Debug, Default)]
struct LoggedTexts {
    input_tokens: u64,
    /// Texts and arguments since the last recorded call.
    output: String,
    reasoning: String,
}

impl LoggedTexts {
    fn in_log(segments: &[Segment]) -> Self {
        let mut logged = Self::default();
        for entry in segments.iter().flat_map(|segment| &segment.entries) {
            entry.body().into_iter().for_each(|body| logged.add(body));
        }
        logged
    }

    fn add(&mut self, body: &Body) {
        let read: Cow<'_, str> = match body {
            Body::TextMessageContent { delta, .. } | Body::ToolCallArgs { delta, .. } => {
                return self.output.push_str(delta);
            }
            Body::ReasoningMessageContent { delta, .. } => return self.reasoning.push_str(delta),
            Body::UsageRecorded(usage) => {
                self.reasoning.clear();
                let output = std::mem::take(&mut self.output);
                // A response that was abandoned is not sent to the model.
                Cow::Owned(if usage.is_of_response() { output } else { String::new() })
            }
            Body::UserMessage { content, .. } => content.readable(),
            Body::ToolCallResult { content, .. } | Body::SubagentFinished { result: content, .. } => {
                Cow::Borrowed(content)
            }
            _ => return,
        };
        self.input_tokens += estimate_tokens(&read);
    }
}
