//! The allowance of a model call: the output that the limits of its caller leave for it.

use sequent_core::MicroUsd;

use crate::{FinishReason, Request, price::Price};

/// Tokens of output below which an answer is of no use.
const LEAST_OUTPUT: u64 = 64;

/// The rest of a caller's limits before a model call.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// The cost that is left, if it is limited.
    pub cost: Option<MicroUsd>,
    /// The tokens of input and output that are left, if they are limited.
    pub tokens: Option<u64>,
    /// The deployment's limit of the output, for models with a known price.
    pub output: u32,
}

/// A limit of a caller's usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageLimit {
    /// The cost of all calls.
    Cost,
    /// The tokens of all calls.
    Tokens,
}

/// The limit of the output of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// The limit to send to the provider. `None` is the provider's own.
    pub tokens: Option<u32>,
    /// The limit of the caller that allows no more. `None` if the deployment or the model allows no more.
    of_caller: Option<UsageLimit>,
}

impl Allowance {
    /// Returns the limit of the output of `request` to a model with this price.
    ///
    /// # Errors
    /// The limit of the caller that does not cover the input and a useful answer.
    pub fn output(&self, request: &Request, price: Option<Price>) -> Result<OutputLimit, UsageLimit> {
        let input = reserved(request);
        let paid = self.cost.zip(price).map(|(left, price)| price.output_for(left, input).unwrap_or(0));
        let counted = self.tokens.map(|left| left.saturating_sub(input));
        // A model that the deployment does not know may not accept a limit as high as the deployment's.
        let known = price.map(|price| price.max_output.unwrap_or(self.output).min(self.output));
        let limits = [
            (paid, Some(UsageLimit::Cost)),
            (counted, Some(UsageLimit::Tokens)),
            (known.map(u64::from), None),
            (request.parameters.max_output_tokens.map(|limit| u64::from(limit.get())), None),
        ];
        let limits = limits.into_iter().filter_map(|(tokens, of_caller)| Some((tokens?, of_caller)));
        let Some((tokens, of_caller)) = limits.min_by_key(|(tokens, _)| *tokens) else {
            return Ok(OutputLimit::default());
        };
        match of_caller {
            Some(limit) if tokens < LEAST_OUTPUT => Err(limit),
            _ => Ok(OutputLimit { tokens: Some(u32::try_from(tokens).unwrap_or(u32::MAX)), of_caller }),
        }
    }
}

impl OutputLimit {
    /// Returns the limit, or `room` if that is less: the rest of the model's context window. Servers refuse a limit that does
    /// not fit beside the input. Without a limit, a server uses what is left by itself.
    #[must_use]
    pub fn within(self, room: u64) -> Self {
        let room = u32::try_from(room.max(LEAST_OUTPUT)).unwrap_or(u32::MAX);
        match self.tokens {
            Some(tokens) if tokens > room => Self { tokens: Some(room), of_caller: None },
            _ => self,
        }
    }

    /// Returns the limit of the caller that ended a response, or `None` if something else did.
    #[must_use]
    pub fn reached(self, reason: FinishReason) -> Option<UsageLimit> {
        self.of_caller.filter(|_| reason == FinishReason::Length)
    }
}

/// The tokens that are reserved for the input: the estimate can be a fifth too low.
fn reserved(request: &Request) -> u64 {
    let estimate = request.input_tokens();
    estimate.saturating_add(estimate / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, ModelName, price::Table};

    const UNLIMITED: Allowance = Allowance { cost: None, tokens: None, output: 1000 };

    fn cost(left: u64) -> Allowance {
        Allowance { cost: Some(MicroUsd(left)), ..UNLIMITED }
    }

    /// A request with 100 tokens of input, of which 125 are reserved.
    fn request() -> Request {
        Request::new(ModelName::DEMO, vec![Message::user("a".repeat(400))])
    }

    fn output(allowance: Allowance, price: Option<Price>) -> Result<Option<u32>, UsageLimit> {
        allowance.output(&request(), price).map(|limit| limit.tokens)
    }

    #[test]
    fn the_output_is_limited_by_what_is_left() {
        // One micro-dollar a token of input, two a token of output.
        let table = Table::from_json(r#"{"own": {"input": 1000000, "output": 2000000}}"#).unwrap();
        let price = table.get("own");
        assert_eq!(output(UNLIMITED, price), Ok(Some(1000)), "the deployment's");
        assert_eq!(output(cost(9000), price), Ok(Some(1000)));
        assert_eq!(output(cost(1125), price), Ok(Some(500)));
        assert_eq!(output(cost(325), price), Ok(Some(100)));
        assert_eq!(output(cost(225), price), Err(UsageLimit::Cost), "no useful answer");
        assert_eq!(output(cost(100), price), Err(UsageLimit::Cost), "not even the input");
        assert_eq!(output(cost(100), None), Ok(None), "nothing is known of the price");
        let tokens = |left| Allowance { tokens: Some(left), ..UNLIMITED };
        assert_eq!(output(tokens(325), None), Ok(Some(200)));
        assert_eq!(output(tokens(125), price), Err(UsageLimit::Tokens));
    }

    #[test]
    fn a_model_gets_no_higher_limit_than_it_accepts() {
        let table = Table::from_json(r#"{"own": {"input": 1, "output": 1, "max_output": 300}}"#).unwrap();
        assert_eq!(output(UNLIMITED, table.get("own")), Ok(Some(300)));
    }

    #[test]
    fn the_limit_fits_beside_the_input() {
        let limit = UNLIMITED.output(&request(), Table::default().get("gpt-4o")).unwrap();
        assert_eq!(limit.within(300).tokens, Some(300));
        assert_eq!(limit.within(5_000).tokens, Some(1_000));
        assert_eq!(limit.within(0).tokens, Some(64), "a server says by itself that nothing fits");
        assert_eq!(OutputLimit::default().within(300).tokens, None);
    }

    #[test]
    fn the_parameter_of_the_request_is_a_limit_and_not_one_of_usage() {
        let parameters = serde_json::from_str(r#"{"max_output_tokens": 20}"#).unwrap();
        let short = Request { parameters, ..request() };
        let limit = UNLIMITED.output(&short, None).unwrap();
        assert_eq!((limit.tokens, limit.reached(FinishReason::Length)), (Some(20), None));
    }

    #[test]
    fn only_a_limit_of_the_caller_is_reached() {
        let table = Table::from_json(r#"{"own": {"input": 0, "output": 1000000}}"#).unwrap();
        let limit = |left| cost(left).output(&request(), table.get("own")).unwrap();
        assert_eq!(limit(999).reached(FinishReason::Length), Some(UsageLimit::Cost));
        assert_eq!(limit(999).reached(FinishReason::Stop), None);
        assert_eq!(limit(1001).reached(FinishReason::Length), None, "the deployment's limit");
    }
}
