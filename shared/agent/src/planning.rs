//! `write_plan`: the tool with which a model writes its plan.

use schemars::JsonSchema;
use sequent_event::{Plan, Step, StepAgent, StepStatus, size::MAX_TEXT_BYTES};
use sequent_model::ToolSpec;
use sequent_tool::schema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::delegates::Delegate;

/// The name of the tool. The agent itself carries the call out, because the plan is part of the log.
pub(crate) const NAME: &str = "write_plan";
/// Steps of a plan at most.
const MAX_STEPS: usize = 50;
/// Characters of a step's title at most.
const MAX_TITLE: usize = 200;
/// Characters of a step's instructions at most.
const MAX_INSTRUCTIONS: usize = 8_000;
/// Bytes of a plan at most, as JSON: it is one event.
const MAX_PLAN: usize = MAX_TEXT_BYTES;

/// The arguments of a call.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PlanArguments {
    #[schemars(length(min = 1, max = MAX_STEPS))]
    steps: Vec<StepArguments>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StepArguments {
    /// A short, unique name, such as `research`.
    #[schemars(length(min = 1, max = 64))]
    id: String,
    /// A few words for people.
    #[schemars(length(min = 1, max = MAX_TITLE))]
    title: String,
    /// The instructions for the step, for a reader who does not know the other steps.
    #[schemars(length(min = 1, max = MAX_INSTRUCTIONS))]
    instructions: String,
    /// True if the step needs no other step's result.
    #[serde(default)]
    independent: bool,
    /// The name of the agent that carries the step out. The schema has it only if there are such agents.
    #[serde(default)]
    #[schemars(skip)]
    agent: Option<String>,
}

/// The tool as the model sees it, with the agents that can carry out steps.
pub(crate) fn spec(agents: &[Delegate]) -> ToolSpec {
    let mut parameters = schema::of::<PlanArguments>();
    let step = parameters.pointer_mut("/properties/steps/items/properties");
    if let Some(step) = step.filter(|_| !agents.is_empty()) {
        step["agent"] = agent_schema(agents);
    }
    ToolSpec {
        name: NAME.to_owned(),
        description: "Writes the plan, or replaces the steps of it that are still to be done.".to_owned(),
        parameters,
    }
}

fn agent_schema(agents: &[Delegate]) -> Value {
    let names: Vec<&str> = agents.iter().map(|delegate| delegate.agent.name.as_str()).collect();
    let described: Vec<String> =
        agents.iter().map(|delegate| format!("{}: {}", delegate.agent.name, delegate.description)).collect();
    let description = format!(
        "An agent that carries out the step. It knows the instructions of the step and no result of another one.\n{}",
        described.join("\n")
    );
    json!({"type": "string", "enum": names, "description": description})
}

/// Builds the new plan from `arguments`: steps that have ended stay, the rest is replaced.
///
/// # Errors
/// A text for the model: the problem of the plan.
pub(crate) fn new_plan(arguments: &str, before: Option<&Plan>, agents: &[Delegate]) -> Result<Plan, String> {
    let written: PlanArguments =
        serde_json::from_str(arguments).map_err(|error| format!("The plan is not valid: {error}."))?;
    let old_steps = before.into_iter().flat_map(|plan| &plan.steps);
    let mut steps: Vec<Step> = old_steps.filter(|step| step.status != StepStatus::Pending).cloned().collect();
    if written.steps.is_empty() && steps.is_empty() {
        return Err("A plan must have at least one step.".to_owned());
    }
    for StepArguments { id, title, instructions, independent, agent } in written.steps {
        if id.trim().is_empty() || id.len() > 64 {
            return Err("The id of a step must have 1 to 64 bytes.".to_owned());
        }
        if steps.iter().any(|step| step.id == id) {
            return Err(format!("There are two steps with the id `{id}`."));
        }
        check_length("title", &id, &title, MAX_TITLE)?;
        check_length("instructions", &id, &instructions, MAX_INSTRUCTIONS)?;
        let agent = agent.map(|name| named(agents, &name)).transpose()?.map(Box::new);
        // The run of an agent does not see the results of other steps.
        let independent = independent || agent.is_some();
        steps.push(Step { id, title, instructions, independent, agent, status: StepStatus::Pending });
    }
    if steps.len() > MAX_STEPS {
        return Err(format!("A plan can have at most {MAX_STEPS} steps."));
    }
    let plan = Plan { steps };
    let bytes = serde_json::to_string(&plan).map_or(usize::MAX, |text| text.len());
    if bytes > MAX_PLAN {
        return Err(format!(
            "The plan is too large: it has {bytes} bytes, and at most {MAX_PLAN} are allowed. Write fewer steps, or \
             shorter instructions."
        ));
    }
    Ok(plan)
}

fn named(agents: &[Delegate], name: &str) -> Result<StepAgent, String> {
    let named = agents.iter().find(|delegate| delegate.agent.name == name);
    named.map(|delegate| delegate.agent.clone()).ok_or_else(|| format!("There is no agent `{name}`."))
}

fn check_length(field: &str, step: &str, text: &str, max: usize) -> Result<(), String> {
    let length = text.chars().count();
    if length <= max {
        return Ok(());
    }
    Err(format!("The {field} of the step `{step}` has {length} characters; at most {max} are allowed."))
}

#[cfg(test)]
mod tests {
    use sequent_event::size;

    use super::*;

    #[test]
    fn a_plan_that_does_not_fit_an_event_is_refused_with_the_limit() {
        let plan = |steps: usize, instructions: &str| {
            let step = |n: usize| serde_json::json!({"id": n.to_string(), "title": "Go", "instructions": instructions});
            new_plan(
                &serde_json::json!({"steps": (0..steps).map(step).collect::<Vec<_>>()}).to_string(),
                None,
                &[],
            )
        };
        let largest = plan(50, &"x".repeat(1_800)).unwrap();
        assert!(sequent_event::Body::PlanUpdated { plan: largest }.encoded_bytes() <= size::MAX_EVENT_BYTES);
        for refused in [plan(50, &"x".repeat(2_400)), plan(2, &"\u{1}".repeat(8_000))] {
            assert!(refused.as_ref().is_err_and(|why| why.contains("at most 96000")), "{refused:?}");
        }
        let long = plan(1, &"x".repeat(8_001));
        assert!(long.as_ref().is_err_and(|why| why.contains("at most 8000")), "{long:?}");
    }

    #[test]
    fn the_tool_as_the_model_sees_it() {
        insta::with_settings!({sort_maps => true}, {
            insta::assert_json_snapshot!(spec(&[]).parameters, @r#"
            {
              "additionalProperties": false,
              "properties": {
                "steps": {
                  "items": {
                    "additionalProperties": false,
                    "properties": {
                      "id": {
                        "description": "A short, unique name, such as `research`.",
                        "maxLength": 64,
                        "minLength": 1,
                        "type": "string"
                      },
                      "independent": {
                        "default": false,
                        "description": "True if the step needs no other step's result.",
                        "type": "boolean"
                      },
                      "instructions": {
                        "description": "The instructions for the step, for a reader who does not know the other steps.",
                        "maxLength": 8000,
                        "minLength": 1,
                        "type": "string"
                      },
                      "title": {
                        "description": "A few words for people.",
                        "maxLength": 200,
                        "minLength": 1,
                        "type": "string"
                      }
                    },
                    "required": [
                      "id",
                      "title",
                      "instructions"
                    ],
                    "type": "object"
                  },
                  "maxItems": 50,
                  "minItems": 1,
                  "type": "array"
                }
              },
              "required": [
                "steps"
              ],
              "type": "object"
            }
            "#);
        });
    }
}
