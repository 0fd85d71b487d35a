//! The rest of a run's limits: for its next model call, for its children and for its jobs.
//!
//! A job's share is promised to it until it ends, so it is subtracted from the rest. The children of a run need not be
//! subtracted: a run asks the model only while it has no live children, and the budgets of those that live never add up to
//! more than the rest (see [`Bounds::share`]).

use sequent_core::MicroUsd;
use sequent_event::{Budget, State};
use sequent_model::Allowance;

use crate::bounds::Bounds;

/// Returns the allowance of the run's next model call.
pub(crate) fn of_run(state: &State, bounds: &Bounds) -> Allowance {
    let rest = rest(state);
    Allowance {
        cost: rest.max_cost_micro_usd.map(MicroUsd),
        tokens: rest.max_tokens,
        output: bounds.output_tokens,
    }
}

/// Returns the budget of a job that asks a model: half of the rest. The other half is for what a person may send meanwhile.
pub(crate) fn of_job(state: &State) -> Budget {
    let rest = rest(state);
    Budget {
        max_tokens: rest.max_tokens.map(|tokens| tokens / 2),
        max_cost_micro_usd: rest.max_cost_micro_usd.map(|cost| cost / 2),
        ..Budget::default()
    }
}

/// Returns the limits of cost and tokens without what is used and what is promised to jobs.
pub(crate) fn rest(state: &State) -> Budget {
    let budget = state.configuration.budget;
    let promised = |limit: fn(&Budget) -> Option<u64>| {
        let limits = state.open_jobs().filter_map(|job| limit(&job.budget));
        limits.fold(0, u64::saturating_add)
    };
    let totals = &state.totals;
    let tokens = totals.input_tokens.saturating_add(totals.output_tokens);
    let tokens = tokens.saturating_add(promised(|budget| budget.max_tokens));
    let cost = totals.cost_micro_usd.0.saturating_add(promised(|budget| budget.max_cost_micro_usd));
    Budget {
        max_tokens: budget.max_tokens.map(|most| most.saturating_sub(tokens)),
        max_cost_micro_usd: budget.max_cost_micro_usd.map(|most| most.saturating_sub(cost)),
        ..budget
    }
}

#[cfg(test)]
mod tests {
    use sequent_core::JobId;
    use sequent_event::{Configuration, Job, RunJob, Totals};

    use super::*;

    fn state() -> State {
        let budget = Budget { max_tokens: Some(1_000), max_cost_micro_usd: Some(500), ..Budget::default() };
        let totals =
            Totals { input_tokens: 100, output_tokens: 50, cost_micro_usd: MicroUsd(100), incomplete: false };
        State {
            configuration: Configuration { budget, ..Configuration::default() },
            totals,
            ..State::default()
        }
    }

    #[test]
    fn what_is_promised_to_a_job_is_left_for_nothing_else() {
        let mut state = state();
        let budget = of_job(&state);
        assert_eq!((budget.max_tokens, budget.max_cost_micro_usd), (Some(425), Some(200)));
        let job = Job { job_id: JobId::new(), job_type: "x".into(), tool_call_id: None, budget };
        state.jobs.push(RunJob { job, ended: None });
        let allowance = of_run(&state, &Bounds::default());
        assert_eq!((allowance.tokens, allowance.cost), (Some(425), Some(MicroUsd(200))));
        assert_eq!(of_job(&state).max_cost_micro_usd, Some(100));
    }

    #[test]
    fn without_limits_nothing_is_limited() {
        assert_eq!(of_job(&State::default()), Budget::default());
    }
}
