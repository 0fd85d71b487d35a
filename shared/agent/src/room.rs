//! The room that a request has in the context window of its model.

use sequent_event::{CompactionReason, MeasuredRequest};
use sequent_model::ModelName;

use crate::{Engine, execution::Execution};

/// Tokens of output for which room is kept if no limit of the output is known.
const USUAL_OUTPUT: u64 = 8_192;
/// The part of a window that is kept free, because no count is exact: one fiftieth.
const SLACK: u64 = 50;

/// Returns the tokens that a request to the model may have by our estimate.
///
/// The estimate is corrected by what the provider has counted for the last request. A provider that has refused a request
/// has a smaller window than we know.
pub(crate) fn of(execution: &Execution<'_>, model: &ModelName) -> u64 {
    let Execution { engine, state, .. } = execution;
    let refused = state.compactions.iter().filter(|made| made.reason == CompactionReason::Refused);
    let refused = refused.map(|made| made.room).min().unwrap_or(u64::MAX);
    let room = of_model(engine, model);
    state.measured.map_or(room, |measured| estimated(room, measured)).min(refused)
}

/// The tokens of input that leave room for an answer.
fn of_model(engine: &Engine, model: &ModelName) -> u64 {
    let most = u64::from(engine.bounds.output_tokens);
    let known = engine.models.price(model).map(|price| price.max_output.map_or(most, u64::from).min(most));
    let input = engine.models.window(model).input_beside(known.unwrap_or(USUAL_OUTPUT));
    let room = input - input / SLACK;
    room.min(u64::from(engine.bounds.input_tokens))
}

/// Returns the estimate of a text that has this many tokens, if the estimate is as wrong as it was. One request with an
/// unusual text does not make it wrong by more than two thirds.
fn estimated(tokens: u64, measured: MeasuredRequest) -> u64 {
    let MeasuredRequest { estimated, counted } = measured;
    let corrected = u128::from(tokens) * u128::from(estimated) / u128::from(counted.max(1));
    u64::try_from(corrected).unwrap_or(u64::MAX).clamp(tokens / 3, tokens.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_corrected_by_what_was_counted() {
        let measured = |estimated, counted| MeasuredRequest { estimated, counted };
        assert_eq!(estimated(100_000, measured(1_000, 1_000)), 100_000);
        assert_eq!(estimated(100_000, measured(1_000, 2_000)), 50_000, "it was too low");
        assert_eq!(estimated(100_000, measured(1_500, 1_000)), 150_000, "it was too high");
        assert_eq!(estimated(99_000, measured(1, 1_000)), 33_000);
        assert_eq!(estimated(99_000, measured(1_000, 0)), 198_000);
    }
}
