//! The tool with which a model writes its plan.

use sequent_event::{Plan, Step, StepStatus};
use sequent_model::ToolSpec;
use serde::Deserialize;
use serde_json::json;

/// What the model calls it. It is carried out by the agent itself: the plan is part of the log.
pub(crate) const NAME: &str = "write_plan";
/// Most steps of a plan.
const MAX_STEPS: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    steps: Vec<WrittenStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStep {
    id: String,
    title: String,
    instructions: String,
    #[serde(default)]
    independent: bool,
}

/// What the model sees.
pub(crate) fn spec() -> ToolSpec {
    let text = |description: &str, longest: u32| json!({"type": "string", "minLength": 1, "maxLength": longest, "description": description});
    let parameters = json!({
        "type": "object",
        "properties": {"steps": {
            "type": "array", "minItems": 1, "maxItems": MAX_STEPS,
            "items": {
                "type": "object",
                "properties": {
                    "id": text("A short name of its own, such as `research`.", 64),
                    "title": text("A few words for people.", 200),
                    "instructions": text("What is to be done, for whoever does it without having seen the rest.", 8000),
                    "independent": {"type": "boolean", "description": "It needs no other step's result."}
                },
                "required": ["id", "title", "instructions"],
                "additionalProperties": false
            }
        }},
        "required": ["steps"],
        "additionalProperties": false
    });
    let description = "Writes the plan, or replaces the steps of it that are still to be done.";
    ToolSpec { name: NAME.to_owned(), description: description.to_owned(), parameters }
}

/// The plan that `arguments` make of the one there is: what is done stays, the rest is replaced.
///
/// # Errors
/// What is wrong with it, for the model.
pub(crate) fn written(arguments: &str, before: Option<&Plan>) -> Result<Plan, String> {
    let written: Written =
        serde_json::from_str(arguments).map_err(|error| format!("The plan cannot be read: {error}."))?;
    let done = before.into_iter().flat_map(|plan| &plan.steps);
    let mut steps: Vec<Step> = done.filter(|step| step.status != StepStatus::Pending).cloned().collect();
    if written.steps.is_empty() && steps.is_empty() {
        return Err("A plan has at least one step.".to_owned());
    }
    for WrittenStep { id, title, instructions, independent } in written.steps {
        if id.trim().is_empty() || id.len() > 64 {
            return Err("A step's id has 1 to 64 bytes.".to_owned());
        }
        if steps.iter().any(|step| step.id == id) {
            return Err(format!("There are two steps `{id}`."));
        }
        steps.push(Step { id, title, instructions, independent, status: StepStatus::Pending });
    }
    if steps.len() > MAX_STEPS {
        return Err(format!("A plan has at most {MAX_STEPS} steps."));
    }
    Ok(Plan { steps })
}
