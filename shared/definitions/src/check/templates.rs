//! The rules of a definition's templates.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    AgentDefinition, Error, InvalidField,
    template::{self, Flaw, Outline},
    variable,
};

/// Checks that the instructions and the prompts use nothing that the definition does not declare, and that they can be
/// rendered.
pub(crate) fn templates(
    definition: &AgentDefinition,
    prompts: &[(String, Arc<String>)],
) -> Result<(), Error> {
    let samples = variable::samples(&definition.variables);
    let own = |flaw| in_template("/definition/instructions", flaw);
    let outline = template::parse(&definition.instructions).map_err(own)?;
    check_includes(definition, &outline).map_err(own)?;
    check_variables(&outline, &samples).map_err(own)?;
    for (index, (name, text)) in prompts.iter().enumerate() {
        let of_prompt = |flaw: Flaw| {
            let detail = format!("the prompt `{name}` {}", flaw.detail);
            in_template(&format!("/definition/prompts/{index}"), Flaw { detail, ..flaw })
        };
        let outline = template::parse(text).map_err(of_prompt)?;
        check_variables(&outline, &samples).map_err(of_prompt)?;
    }
    let texts = prompts.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    template::render(&definition.instructions, texts, &samples).map(drop).map_err(own)
}

fn check_includes(definition: &AgentDefinition, outline: &Outline) -> Result<(), Flaw> {
    let is_listed = |name: &str| definition.prompts.iter().any(|prompt| prompt.name.as_str() == name);
    match outline.includes.iter().find(|(name, _)| !is_listed(name)) {
        None => Ok(()),
        Some((name, line)) => {
            let detail = format!("includes `{name}`, which is not in the list of prompts");
            Err(Flaw { line: Some(*line), detail })
        }
    }
}

fn check_variables(outline: &Outline, declared: &Map<String, Value>) -> Result<(), Flaw> {
    match outline.variables.iter().find(|(name, _)| !declared.contains_key(*name)) {
        None => Ok(()),
        Some((name, line)) => {
            Err(Flaw { line: Some(*line), detail: format!("uses `{name}`, which is not declared") })
        }
    }
}

/// Returns the error of a template at this place of the body.
pub(crate) fn in_template(pointer: &str, flaw: Flaw) -> Error {
    Error::Template(InvalidField { pointer: pointer.to_owned(), line: flaw.line, detail: flaw.detail })
}
