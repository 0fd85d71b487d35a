//! A call of a model, and the record of its usage.

use sequent_event::{Body, RequestRecord, Usage};
use sequent_model::{ModelName, OutputLimit};
use tokio::time::Instant;

use crate::{candidates::Candidate, execution::Execution, response::Response};

/// A call of a model.
pub(crate) struct ModelCall {
    /// The model that answers. It may be a fallback for the one that was asked for.
    pub(crate) candidate: Candidate,
    /// The record of the request.
    record: RequestRecord,
    started: Instant,
    /// The number of people's messages in the request.
    messages_told: Option<u32>,
    pub(crate) response: Response,
    /// The usage so far, once a model answers.
    pub(crate) usage: Option<sequent_model::Usage>,
}

impl ModelCall {
    /// A call that begins now.
    pub(crate) fn new(record: RequestRecord, messages_told: Option<u32>, model: ModelName) -> Self {
        Self {
            candidate: Candidate { model, limit: OutputLimit::default() },
            record,
            started: Instant::now(),
            messages_told,
            response: Response::new(),
            usage: None,
        }
    }
}

/// The event that records the usage of a call.
pub(crate) fn usage_recorded(
    execution: &Execution<'_>,
    call: &ModelCall,
    used: sequent_model::Usage,
    finish_reason: &str,
) -> Body {
    Body::UsageRecorded(usage_of(execution, call, used, finish_reason))
}

/// The usage of a call. Also logs it.
pub(crate) fn usage_of(
    execution: &Execution<'_>,
    call: &ModelCall,
    used: sequent_model::Usage,
    finish_reason: &str,
) -> Usage {
    let models = &execution.engine.models;
    let info = models.describe(&call.candidate.model);
    let usage = Usage {
        provider: info.provider.as_str().to_owned(),
        cost_micro_usd: models.cost(&call.candidate.model, &used),
        model: info.model,
        input_tokens: used.input_tokens,
        output_tokens: used.output_tokens,
        cached_input_tokens: used.cached_input_tokens,
        cache_write_tokens: used.cache_write_tokens,
        reasoning_tokens: used.reasoning_tokens,
        estimated: used.estimated,
        latency_ms: u64::try_from(call.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        finish_reason: finish_reason.to_owned(),
        messages_told: call.messages_told,
        request: Some(Box::new(RequestRecord {
            max_output_tokens: call.candidate.limit.tokens,
            ..call.record.clone()
        })),
    };
    // The attributes are named by OpenTelemetry's semantic conventions for generative AI.
    tracing::info!(
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = usage.provider,
        gen_ai.request.model = %call.candidate.model,
        gen_ai.response.model = usage.model,
        gen_ai.response.finish_reasons = finish_reason,
        gen_ai.usage.input_tokens = usage.input_tokens,
        gen_ai.usage.output_tokens = usage.output_tokens,
        gen_ai.conversation.id = %execution.run.project_id,
        latency_ms = usage.latency_ms,
        cost_micro_usd = usage.cost_micro_usd.map(|cost| cost.0),
        run = %execution.key.run,
        "model call"
    );
    usage
}
