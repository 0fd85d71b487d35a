//! The public side of the errors of an account.

use std::time::Duration;

use sequent_core::{ApiError, Code, ErrorDetails};

use crate::{Denied, Error};

/// A time after which another run may have ended.
const RUN_ENDS: Duration = Duration::from_secs(5);
/// A time after which another stream may have ended.
const STREAM_ENDS: Duration = Duration::from_secs(5);

impl ApiError for Denied {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::Insufficient { needed, available } => {
                let detail = "The account has too few credits for the first model call of the run. Buy credits with POST \
                              /api/billing/checkout if they are sold, or ask the operator of the deployment, or shorten \
                              the message, or choose a cheaper model.";
                ErrorDetails::new(Code::InsufficientCredits, detail)
                    .with("needed_micro_credits", needed.0)
                    .with("available_micro_credits", available.0)
            }
            Self::Limit { needed, limit } => {
                let detail = "The run may not cost as much as its first model call is estimated to. Raise \
                              `budget.max_cost_micro_usd` if it is lower than what the plan allows for a run, or shorten \
                              the message, or choose a cheaper model.";
                ErrorDetails::new(Code::InsufficientCredits, detail)
                    .with("needed_micro_credits", needed.0)
                    .with("limit_micro_credits", limit.0)
            }
            Self::Frozen(why) => {
                let detail = format!("No credits can be spent: {why}. See GET /api/billing/credits.");
                ErrorDetails::new(Code::AccountFrozen, detail)
            }
            Self::Model { plan, model } => {
                let detail = format!("The plan `{plan}` does not include the model `{model}`.");
                ErrorDetails::new(Code::ModelNotInPlan, detail)
            }
            Self::NotAllowed(model) => {
                let detail = format!(
                    "The deployment does not allow the model `{model}`. Name no model to use the default one, or choose \
                     another model. The operator can add it to `AllowedModels`."
                );
                ErrorDetails::new(Code::ModelNotAllowed, detail)
            }
            Self::NoProvider => {
                ErrorDetails::new(Code::ModelNotConfigured, sequent_model::Error::NoProvider.public_message())
            }
            Self::Unpriced(model) => {
                let detail = format!(
                    "The deployment has no price for the model `{model}`, so its cost cannot be limited. Choose another model. \
                     The operator can add its price to the stored table of prices, or set `daily_usd=none` in `TenantLimits`."
                );
                ErrorDetails::new(Code::ModelNotPriced, detail)
            }
            Self::Concurrent { limit } => {
                let detail = format!(
                    "No more than {limit} runs can be live at the same time, those that wait included. Wait for a run to \
                     end, or cancel one."
                );
                ErrorDetails::new(Code::TooManyRuns, detail).with("limit", *limit).retry_after(RUN_ENDS)
            }
            Self::DailyCost { limit } => {
                let detail = format!(
                    "The runs of a day may cost {limit}, and the rest does not cover another one. Try again tomorrow (UTC), \
                     or ask the operator to raise `daily_usd` of `TenantLimits`."
                );
                ErrorDetails::new(Code::DailyLimit, detail).with("limit_micro_usd", limit.0)
            }
            Self::Unverified { limit } => {
                let detail = format!(
                    "The address of the account is not verified. Until it is, the runs of a day may cost {limit}, and all such \
                     accounts share a limit. One of the two is reached. Verify the address with the link that was sent \
                     to it, try again tomorrow (UTC), or ask the operator to raise `unverified_usd` of `TenantLimits`."
                );
                ErrorDetails::new(Code::DailyLimit, detail).with("limit_micro_usd", limit.0)
            }
            Self::Streams { limit } => {
                let detail = format!("No more than {limit} streams can be open at the same time. Close one.");
                ErrorDetails::new(Code::TooManyStreams, detail).with("limit", *limit).retry_after(STREAM_ENDS)
            }
            Self::Daily { limit } => {
                let detail = format!("The plan allows {limit} a day. Try again tomorrow (UTC).");
                ErrorDetails::new(Code::DailyLimit, detail)
            }
        }
    }
}

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::Denied(denied) => denied.details(),
            Self::Cursor(error) => error.details(),
            Self::Data(error) => error.details(),
            Self::Busy => ErrorDetails::unavailable(),
        }
    }
}
