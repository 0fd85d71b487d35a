//! The way in which a run works, as requests and rows contain it.

use sequent_core::Scopes;
use sequent_event::{
    Budget, ChosenParameters, ClientTool, Configuration, EvaluationSetup, Lineage, Orchestration, RunAgent,
    RunHook, RunNote, RunSchedule, ScopeNames,
};
use sequent_model::{ModelParameters, ReasoningEffort};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// The way in which a run works. Everything is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct RunOptions {
    /// `direct`: model and tools alternate until the model answers. `plan`: the model plans first, and the steps are
    /// carried out one by one. Independent steps are carried out by child runs.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "direct"))]
    pub orchestration: Orchestration,
    /// The document that the run delivers: `report`, `slides` or `website`.
    pub deliverable_type: Option<String>,
    /// The tools that the model may call. All tools of the deployment if null.
    pub tools: Option<Vec<String>>,
    /// The tools that the client carries out. The row of a run does not repeat them: the log has them, and they are long.
    #[serde(skip)]
    pub client_tools: Vec<ClientTool>,
    /// The JSON Schema of the answer, if it has to be JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub output_schema: Option<Value>,
    /// The parameters of the run's model calls, if the caller chose any.
    #[serde(skip_serializing_if = "ModelParameters::is_default")]
    pub parameters: ModelParameters,
    /// The limits of the run, its children included.
    pub budget: RunLimits,
    /// The scopes of the run's caller, which tools may require. All scopes if null.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
    pub scopes: Option<Scopes>,
    /// The evaluation that the run carries out. The row of a run does not repeat it: the log has it.
    #[serde(skip)]
    pub evaluation: Option<Box<EvaluationSetup>>,
    /// The agent that the run was started with, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<RunAgent>,
    /// The schedule that started the run, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<RunSchedule>,
    /// The hook that started the run, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<RunHook>,
    /// The notes of the agent about the person. The row of a run does not repeat them: the log has them.
    #[serde(skip)]
    pub notes: Vec<RunNote>,
}

/// The limits of a run. A limit that is absent is set by the deployment alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RunLimits {
    /// Model calls.
    pub max_steps: Option<u32>,
    /// Input and output tokens.
    pub max_tokens: Option<u64>,
    /// Millionths of a US dollar.
    pub max_cost_micro_usd: Option<u64>,
    /// Seconds since the start of the first execution, without the time spent waiting for people.
    pub max_seconds: Option<u64>,
}

impl RunLimits {
    /// Returns the lower limit of each kind.
    #[must_use]
    pub fn lower(self, other: Self) -> Self {
        Self {
            max_steps: lower(self.max_steps, other.max_steps),
            max_tokens: lower(self.max_tokens, other.max_tokens),
            max_cost_micro_usd: lower(self.max_cost_micro_usd, other.max_cost_micro_usd),
            max_seconds: lower(self.max_seconds, other.max_seconds),
        }
    }
}

/// Returns the lower of two limits.
fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    [one, other].into_iter().flatten().min()
}

impl From<Budget> for RunLimits {
    fn from(budget: Budget) -> Self {
        let Budget { max_steps, max_tokens, max_cost_micro_usd, max_seconds } = budget;
        Self { max_steps, max_tokens, max_cost_micro_usd, max_seconds }
    }
}

impl From<RunOptions> for Configuration {
    fn from(options: RunOptions) -> Self {
        let RunLimits { max_steps, max_tokens, max_cost_micro_usd, max_seconds } = options.budget;
        Self {
            orchestration: options.orchestration,
            deliverable_type: options.deliverable_type,
            tools: options.tools,
            client_tools: options.client_tools,
            approved_tools: Vec::new(),
            output_schema: options.output_schema.map(Box::new),
            parameters: chosen(options.parameters),
            budget: Budget { max_steps, max_tokens, max_cost_micro_usd, max_seconds },
            scopes: options.scopes.map(ScopeNames::from),
            hold: None,
            lineage: Lineage::default(),
            replay: None,
            requested: None,
            agent: options.agent.map(Box::new),
            notes: options.notes,
            evaluation: options.evaluation,
            models: None,
            schedule: options.schedule,
            hook: options.hook,
        }
    }
}

impl From<&Configuration> for RunOptions {
    fn from(configuration: &Configuration) -> Self {
        Self {
            orchestration: configuration.orchestration,
            deliverable_type: configuration.deliverable_type.clone(),
            tools: configuration.tools.clone(),
            client_tools: configuration.client_tools.clone(),
            output_schema: configuration.output_schema.as_deref().cloned(),
            parameters: configuration.parameters.as_deref().map(parameters).unwrap_or_default(),
            budget: configuration.budget.into(),
            scopes: configuration.scopes.as_ref().map(ScopeNames::known),
            evaluation: configuration.evaluation.clone(),
            agent: configuration.agent.as_deref().cloned(),
            schedule: configuration.schedule,
            hook: configuration.hook,
            notes: configuration.notes.clone(),
        }
    }
}

/// The form of the parameters in the log. Returns `None` if the caller chose none.
fn chosen(parameters: ModelParameters) -> Option<Box<ChosenParameters>> {
    if parameters.is_default() {
        return None;
    }
    let ModelParameters { temperature, top_p, max_output_tokens, stop, reasoning_effort, seed } = parameters;
    Some(Box::new(ChosenParameters {
        temperature: temperature.and_then(|temperature| Number::from_f64(temperature.into())),
        top_p: top_p.and_then(|top_p| Number::from_f64(top_p.into())),
        max_output_tokens: max_output_tokens.map(Into::into),
        stop: stop.into(),
        reasoning_effort: reasoning_effort.map(|effort| effort.as_str().to_owned()),
        seed,
    }))
}

/// The parameters in a log. A value of a newer writer that this build does not know is the model's default.
fn parameters(chosen: &ChosenParameters) -> ModelParameters {
    let ChosenParameters { temperature, top_p, max_output_tokens, stop, reasoning_effort, seed } = chosen;
    ModelParameters {
        temperature: temperature.as_ref().and_then(Number::as_f64).and_then(|number| number.try_into().ok()),
        top_p: top_p.as_ref().and_then(Number::as_f64).and_then(|number| number.try_into().ok()),
        max_output_tokens: max_output_tokens.and_then(|tokens| tokens.try_into().ok()),
        stop: stop.clone().try_into().unwrap_or_default(),
        reasoning_effort: reasoning_effort.as_deref().and_then(ReasoningEffort::named),
        seed: *seed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_the_parameters_that_were_chosen() {
        let json = r#"{"temperature":0.25,"top_p":0.5,"max_output_tokens":9,"stop":["END"],"reasoning_effort":"low","seed":7}"#;
        for json in [json, "{}", r#"{"temperature":0.0}"#] {
            let parameters: ModelParameters = serde_json::from_str(json).unwrap();
            let options = RunOptions { parameters, ..RunOptions::default() };
            let configuration = Configuration::from(options.clone());
            let stored = serde_json::to_string(&configuration).unwrap();
            assert_eq!(stored.contains("parameters"), json != "{}", "{stored}");
            assert_eq!(RunOptions::from(&serde_json::from_str::<Configuration>(&stored).unwrap()), options);
        }
    }

    #[test]
    fn a_value_of_a_newer_writer_is_the_default() {
        let stored = r#"{"parameters":{"temperature":9.5,"reasoningEffort":"cosmic","seed":3}}"#;
        let options = RunOptions::from(&serde_json::from_str::<Configuration>(stored).unwrap());
        assert_eq!(options.parameters, ModelParameters { seed: Some(3), ..ModelParameters::default() });
    }
}
