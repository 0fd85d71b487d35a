//! What a caller is told who may not begin a run.

use std::time::Duration;

use sequent_core::Code;
use sequent_http::Problem;

use crate::{Denied, Error};

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Insufficient { needed, available } => {
                let detail = "There are too few credits for the run. Buy some with POST /api/billing/checkout where they are sold, \
                              else ask whoever operates the deployment; or give the run a lower `budget.max_cost_micro_usd`.";
                Self::new(Code::InsufficientCredits, detail)
                    .with("needed_micro_credits", needed.0)
                    .with("available_micro_credits", available.0)
            }
            Denied::Frozen(why) => {
                let detail = format!("No credits may be spent: {why}. See GET /api/billing/credits.");
                Self::new(Code::AccountFrozen, detail)
            }
            Denied::Model { plan, model } => {
                let detail = format!("The plan `{plan}` does not have the model `{model}`.");
                Self::forbidden("model_not_in_plan", detail)
            }
            Denied::Unpriced(model) => {
                let detail = format!(
                    "This deployment has no price for the model `{model}`, so it cannot be paid for: name another, or have its \
                     price added to `MODEL_PRICES`."
                );
                Self::forbidden("model_not_priced", detail)
            }
            Denied::Concurrent { limit } => {
                let detail =
                    format!("The plan allows {limit} runs at once. Wait for one to end, or cancel one.");
                Self::new(Code::TooManyRuns, detail).retry_after(Duration::from_secs(5))
            }
            Denied::Daily { limit } => {
                let detail = format!("The plan allows {limit} a day. Try again tomorrow (UTC).");
                Self::new(Code::DailyLimit, detail)
            }
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Cursor(error) => error.into(),
            Error::Data(error) => error.into(),
            error => Self::unavailable(error),
        }
    }
}
