//! The limits of runs.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use sequent_core::{
    TenantLimits, Timestamp,
    pace::scaled,
    setting::{self, InvalidSetting},
};
use sequent_event::{Budget, State};
use sequent_model::UsageLimit;

use crate::allowance;

/// The limits that the deployment sets for every run.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Model calls of a run without a limit of its own, and the highest limit that a run can have.
    pub steps: u32,
    /// Time that a run may execute. The time in which it waits for people does not count.
    pub time: Duration,
    /// Tools that run in parallel.
    pub parallel_tools: usize,
    /// Child runs that run in parallel.
    pub parallel_children: usize,
    /// Time after which a question to a person expires.
    pub question: Duration,
    /// Time that an owner waits for child runs or jobs before it releases its process.
    pub patience: Duration,
    /// Tokens of the output of a model call, for models with a known price.
    pub output_tokens: u32,
    /// Tokens of a request at most, also if the context window of its model is larger: every call pays for all of them.
    pub input_tokens: u32,
}

/// The message of a run that ends with `time_limit`.
pub(crate) const TIME_LIMIT: &str = "The run has reached its time limit.";

/// A limit that ends a run.
#[derive(Debug)]
pub(crate) struct LimitReached {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl From<UsageLimit> for LimitReached {
    fn from(limit: UsageLimit) -> Self {
        let (code, message) = match limit {
            UsageLimit::Cost => ("cost_limit", "The run has reached its cost limit."),
            UsageLimit::Tokens => ("token_limit", "The run has reached its token limit."),
        };
        Self { code, message: message.to_owned() }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        let limits = TenantLimits::default();
        Self {
            steps: limits.steps,
            time: scaled(Duration::from_secs(limits.seconds)),
            parallel_tools: 4,
            parallel_children: 5,
            question: scaled(Duration::from_secs(7 * 24 * 3600)),
            patience: scaled(Duration::from_secs(5)),
            output_tokens: 32_768,
            input_tokens: 200_000,
        }
    }
}

impl Bounds {
    /// Reads [`TenantLimits`], `RUN_MAX_INPUT_TOKENS`, `RUN_MAX_OUTPUT_TOKENS`, `QUESTION_TTL_S`, `PARALLEL_TOOLS` and
    /// `PARALLEL_CHILDREN`, each optional.
    ///
    /// # Errors
    /// If a variable is set to a value that is not allowed.
    pub fn from_env() -> Result<Self, InvalidSetting> {
        let seconds = |variable| {
            let number: Option<u64> = setting::parsed(variable, "a whole number of seconds")?;
            Ok::<_, InvalidSetting>(number.map(|number| scaled(Duration::from_secs(number))))
        };
        let parallel = |variable| setting::parsed::<NonZeroUsize>(variable, "a whole number of at least 1");
        let tokens = |variable| setting::parsed::<NonZeroU32>(variable, "a whole number of tokens");
        let default = Self::default();
        let limits = TenantLimits::from_env()?;
        Ok(Self {
            steps: limits.steps,
            time: scaled(Duration::from_secs(limits.seconds)),
            question: seconds("QUESTION_TTL_S")?.unwrap_or(default.question),
            input_tokens: tokens("RUN_MAX_INPUT_TOKENS")?.map_or(default.input_tokens, NonZeroU32::get),
            output_tokens: tokens("RUN_MAX_OUTPUT_TOKENS")?.map_or(default.output_tokens, NonZeroU32::get),
            parallel_tools: parallel("PARALLEL_TOOLS")?.map_or(default.parallel_tools, NonZeroUsize::get),
            parallel_children: parallel("PARALLEL_CHILDREN")?
                .map_or(default.parallel_children, NonZeroUsize::get),
            ..default
        })
    }

    /// The limit that keeps the run from another model call, if it has reached one.
    pub(crate) fn exhausted(&self, state: &State, now: Timestamp) -> Option<LimitReached> {
        let reached = |code, message: &str| Some(LimitReached { code, message: message.to_owned() });
        let Budget { max_steps, max_tokens, max_cost_micro_usd, .. } = state.configuration.budget;
        let totals = &state.totals;
        let steps = max_steps.map_or(self.steps, |own| own.min(self.steps));
        if state.model_calls >= steps {
            return reached("step_limit", &format!("The run has reached its limit of {steps} model calls."));
        }
        if max_tokens.is_some_and(|most| totals.input_tokens + totals.output_tokens >= most) {
            return Some(UsageLimit::Tokens.into());
        }
        if max_cost_micro_usd.is_some_and(|most| totals.cost_micro_usd.0 >= most) {
            return Some(UsageLimit::Cost.into());
        }
        self.out_of_time(state, now)
    }

    /// The limit of the run's time, if it is reached.
    pub(crate) fn out_of_time(&self, state: &State, now: Timestamp) -> Option<LimitReached> {
        let is_over = self.time_left(state, now).is_zero();
        is_over.then(|| LimitReached { code: "time_limit", message: TIME_LIMIT.to_owned() })
    }

    /// The time that the run may still execute.
    pub(crate) fn time_left(&self, state: &State, now: Timestamp) -> Duration {
        let own = state.configuration.budget.max_seconds.map(|own| scaled(Duration::from_secs(own)));
        let allowed = own.map_or(self.time, |own| own.min(self.time));
        let elapsed = state.started_at.map_or(Duration::ZERO, |at| now.since(at));
        allowed.saturating_sub(elapsed.saturating_sub(Duration::from_millis(state.waited_ms)))
    }

    /// The budget of a child: the rest of the run's budget in equal shares, one for each of the `steps` that are not
    /// done, and one for the run itself, which has to conclude.
    ///
    /// The budgets of live children never add up to more than the rest R. Each of them is at most R / (steps + 1):
    /// this holds when a child starts, and when another ends. That one has used u <= R / (steps + 1), so the new share
    /// (R - u) / steps is not smaller. What a child does not use is a part of R again.
    pub(crate) fn share(&self, state: &State, steps: usize, now: Timestamp) -> Budget {
        let Budget { max_steps, max_tokens, max_cost_micro_usd, max_seconds } = allowance::rest(state);
        let shares = u64::try_from(steps).unwrap_or(u64::MAX).saturating_add(1);
        Budget {
            max_steps,
            max_tokens: max_tokens.map(|rest| rest / shares),
            max_cost_micro_usd: max_cost_micro_usd.map(|rest| rest / shares),
            max_seconds: max_seconds.map(|_| self.time_left(state, now).as_secs().max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A parent that waits for its children keeps its worker for a moment only, but it is counted here.
    #[test]
    fn the_runs_of_one_tenant_with_their_children_leave_workers_to_the_others() {
        let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
        let template = std::fs::read_to_string(template).expect("the template");
        let parameter = template.split("\n  AgentWorkerConcurrency:\n").nth(1).expect("the parameter");
        let default = parameter.lines().find_map(|line| line.trim().strip_prefix("Default: "));
        let workers: usize = default.expect("a default").parse().expect("a number");
        let runs = TenantLimits::default().runs.expect("a limit") as usize;
        let held = runs * (1 + Bounds::default().parallel_children);
        assert!(held * 4 <= workers * 3, "a tenant can hold {held} of {workers} workers");
    }

    #[test]
    fn the_template_has_the_defaults_of_the_code() {
        let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
        let template = std::fs::read_to_string(template).expect("the template");
        let parameter = template.split("\n  TenantLimits:\n").nth(1).expect("the parameter");
        let default = parameter.lines().find_map(|line| line.trim().strip_prefix("Default: "));
        assert_eq!(default.expect("a default").parse(), Ok(TenantLimits::default()));
    }
}
