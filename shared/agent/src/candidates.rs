//! The models that may answer a request, and the stream of the first one that can.

use sequent_core::MicroCredits;
use sequent_model::{Chunks, Context, ModelName, OutputLimit, Request, estimate::request_tokens};

use crate::{
    Engine, allowance, bounds::LimitReached, execution::Execution, offers::RequestOffer, requests::Requests,
};

/// A model that may answer, and the limit of its output.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) model: ModelName,
    pub(crate) limit: OutputLimit,
}

impl Candidate {
    /// The candidate, with an output of at most `tokens`.
    pub(crate) fn at_most(self, tokens: u32) -> Self {
        Self { limit: self.limit.within(tokens.into()), ..self }
    }
}

/// The models to try, in order. A metered run may only use models with a known price; so may a run with a
/// cost limit whose own model has a price. A model whose input alone exceeds what is left is not tried.
///
/// # Errors
/// The limit that the call would exceed, if the run can afford none of the models.
pub(crate) fn candidates(
    execution: &Execution<'_>,
    model: &ModelName,
    requests: &Requests,
) -> Result<Vec<Candidate>, LimitReached> {
    let models = &execution.engine.models;
    let abilities = models.abilities().known();
    let configuration = &execution.state.configuration;
    let all = execution.candidates(model.clone());
    let priced = models.priced(all.clone());
    let has_cost_limit = configuration.budget.max_cost_micro_usd.is_some();
    let is_counted = has_cost_limit && priced.first() == Some(model);
    let is_metered =
        configuration.hold.as_ref().is_some_and(|hold| !hold.of_quota || hold.amount > MicroCredits::ZERO);
    let allowed = if is_metered || is_counted { priced } else { all };
    let allowance = allowance::of_run(&execution.state, &execution.engine.bounds);
    let mut affordable = Vec::new();
    let mut too_dear = None;
    for candidate in allowed {
        let request = requests.to(&candidate);
        let tokens = request_tokens(&request);
        let window = abilities.window(&candidate);
        let needs_tools = !request.tools.is_empty();
        if candidate != *model
            && (tokens > window.input || (needs_tools && !abilities.calls_tools(&candidate)))
        {
            continue; // a fallback that cannot take the request
        }
        match allowance.output(&request, models.price(&candidate)) {
            Ok(limit) => {
                let limit = limit.within(window.total.saturating_sub(tokens));
                affordable.push(Candidate { model: candidate, limit });
            }
            Err(limit) => too_dear = too_dear.or(Some(limit)),
        }
    }
    match too_dear {
        Some(limit) if affordable.is_empty() => Err(limit.into()),
        _ => Ok(affordable),
    }
}

/// As [`open`]. Meanwhile, stores what the request offers.
pub(crate) async fn open_and_keep(
    execution: &Execution<'_>,
    candidates: Vec<Candidate>,
    requests: &Requests,
    offer: &RequestOffer,
    context: Context,
) -> Result<(Candidate, Chunks), sequent_model::Error> {
    let engine = execution.engine;
    let keeping = engine.offers.keep(engine.store(), execution.key.tenant, offer);
    tokio::join!(open(engine, candidates, requests, context), keeping).0
}

/// Opens the stream of the first candidate that can answer. Returns the candidate and its stream.
///
/// # Errors
/// The error of the request, or of the first candidate, which the run asked for.
async fn open(
    engine: &Engine,
    candidates: Vec<Candidate>,
    requests: &Requests,
    context: Context,
) -> Result<(Candidate, Chunks), sequent_model::Error> {
    let mut first_error = None;
    for candidate in candidates {
        let model = candidate.model.clone();
        let max_output_tokens = candidate.limit.tokens;
        let request = Request { max_output_tokens, ..requests.to(&model) };
        match Box::pin(engine.models.stream(request, context.clone())).await {
            Ok(chunks) => return Ok((candidate, chunks)),
            Err(error) if error.another_may_answer() => {
                tracing::warn!(%model, %error, "the model cannot answer; trying the next fallback if there is one");
                first_error.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(first_error.unwrap_or(sequent_model::Error::NotPriced))
}
