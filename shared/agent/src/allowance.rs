//! The allowance of a model call: the output that the limits of its run leave for it.

use sequent_core::MicroUsd;
use sequent_event::State;
use sequent_model::{FinishReason, Request, price::Price};

use crate::bounds::{Bounds, LimitReached, RunLimit};

/// Tokens of output below which an answer is of no use.
const LEAST_OUTPUT: u64 = 64;

/// The rest of a run's limits before a model call.
///
/// The children of a run need not be subtracted: a run asks the model only while it has no live children, and the budgets
/// of those that live never add up to more than the rest (see [`Bounds::share`]).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    cost: Option<MicroUsd>,
    tokens: Option<u64>,
    /// The deployment's limit of the output.
    output: u32,
}

/// The limit of the output of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OutputLimit {
    /// The limit to send to the provider. `None` is the provider's own.
    pub(crate) tokens: Option<u32>,
    /// The limit of the run that allows no more. `None` if the deployment or the model allows no more.
    of_run: Option<RunLimit>,
}

impl Allowance {
    pub(crate) fn of(state: &State, bounds: &Bounds) -> Self {
        let budget = state.configuration.budget;
        let totals = &state.totals;
        let used = totals.input_tokens.saturating_add(totals.output_tokens);
        let cost = |most: u64| MicroUsd(most.saturating_sub(totals.cost_micro_usd.0));
        Self {
            cost: budget.max_cost_micro_usd.map(cost),
            tokens: budget.max_tokens.map(|most| most.saturating_sub(used)),
            output: bounds.output_tokens,
        }
    }

    /// Returns the limit of the output of `request` to a model with this price.
    ///
    /// # Errors
    /// The limit of the run that does not cover the input and a useful answer.
    pub(crate) fn output(
        &self,
        request: &Request,
        price: Option<Price>,
    ) -> Result<OutputLimit, LimitReached> {
        let input = reserved(request);
        let paid = self.cost.zip(price).map(|(left, price)| price.output_for(left, input).unwrap_or(0));
        let counted = self.tokens.map(|left| left.saturating_sub(input));
        // A model that the deployment does not know may not accept a limit as high as the deployment's.
        let known = price.map(|price| price.max_output.unwrap_or(self.output).min(self.output));
        let limits =
            [(paid, Some(RunLimit::Cost)), (counted, Some(RunLimit::Tokens)), (known.map(u64::from), None)];
        let limits = limits.into_iter().filter_map(|(tokens, of_run)| Some((tokens?, of_run)));
        let Some((tokens, of_run)) = limits.min_by_key(|(tokens, _)| *tokens) else {
            return Ok(OutputLimit::default());
        };
        match of_run {
            Some(limit) if tokens < LEAST_OUTPUT => Err(limit.reached()),
            _ => Ok(OutputLimit { tokens: Some(u32::try_from(tokens).unwrap_or(u32::MAX)), of_run }),
        }
    }
}

impl OutputLimit {
    /// Returns the limit of the run that ended a response, or `None` if something else did.
    pub(crate) fn reached(self, reason: FinishReason) -> Option<LimitReached> {
        self.of_run.filter(|_| reason == FinishReason::Length).map(RunLimit::reached)
    }
}

/// The tokens that are reserved for the input: the estimate can be a fifth too low.
fn reserved(request: &Request) -> u64 {
    let estimate = request.input_tokens();
    estimate.saturating_add(estimate / 4)
}

#[cfg(test)]
mod tests {
    use sequent_event::{Budget, Configuration, Totals};
    use sequent_model::{Message, ModelName, price::Table};

    use super::*;

    fn allowance(budget: Budget, cost: u64, tokens: u64) -> Allowance {
        let configuration = Configuration { budget, ..Configuration::default() };
        let totals = Totals { input_tokens: tokens, cost_micro_usd: MicroUsd(cost), ..Totals::default() };
        let state = State { configuration, totals, ..State::default() };
        Allowance::of(&state, &Bounds { output_tokens: 1000, ..Bounds::default() })
    }

    /// A request with 100 tokens of input, of which 125 are reserved.
    fn request() -> Request {
        Request::new(ModelName::DEMO, vec![Message::user("a".repeat(400))])
    }

    fn output(allowance: Allowance, price: Option<Price>) -> Result<Option<u32>, &'static str> {
        allowance.output(&request(), price).map(|limit| limit.tokens).map_err(|limit| limit.code)
    }

    #[test]
    fn the_output_is_limited_by_what_is_left() {
        // One micro-dollar a token of input, two a token of output.
        let table = Table::from_json(r#"{"own": {"input": 1000000, "output": 2000000}}"#).unwrap();
        let price = table.get("own");
        let cost = |most| Budget { max_cost_micro_usd: Some(most), ..Budget::default() };
        assert_eq!(output(allowance(Budget::default(), 0, 0), price), Ok(Some(1000)), "the deployment's");
        assert_eq!(output(allowance(cost(9000), 0, 0), price), Ok(Some(1000)));
        assert_eq!(output(allowance(cost(1125), 0, 0), price), Ok(Some(500)));
        assert_eq!(output(allowance(cost(1125), 800, 0), price), Ok(Some(100)));
        assert_eq!(output(allowance(cost(1125), 900, 0), price), Err("cost_limit"), "no useful answer");
        assert_eq!(output(allowance(cost(100), 0, 0), price), Err("cost_limit"), "not even the input");
        assert_eq!(output(allowance(cost(100), 0, 0), None), Ok(None), "nothing is known of the price");
        let tokens = Budget { max_tokens: Some(1125), ..Budget::default() };
        assert_eq!(output(allowance(tokens, 0, 800), None), Ok(Some(200)));
        assert_eq!(output(allowance(tokens, 0, 1000), price), Err("token_limit"));
    }

    #[test]
    fn a_model_gets_no_higher_limit_than_it_accepts() {
        let table = Table::from_json(r#"{"own": {"input": 1, "output": 1, "max_output": 300}}"#).unwrap();
        assert_eq!(output(allowance(Budget::default(), 0, 0), table.get("own")), Ok(Some(300)));
    }

    #[test]
    fn only_a_limit_of_the_run_ends_it() {
        let table = Table::from_json(r#"{"own": {"input": 0, "output": 1000000}}"#).unwrap();
        let limit = |most| {
            let budget = Budget { max_cost_micro_usd: Some(most), ..Budget::default() };
            allowance(budget, 0, 0).output(&request(), table.get("own")).ok().unwrap()
        };
        let code = |limit: OutputLimit, reason| limit.reached(reason).map(|limit| limit.code);
        assert_eq!(code(limit(999), FinishReason::Length), Some("cost_limit"));
        assert_eq!(code(limit(999), FinishReason::Stop), None);
        assert_eq!(code(limit(1001), FinishReason::Length), None, "the deployment's limit");
    }
}
