//! The rules of a definition that its types do not express.

mod templates;

use std::collections::BTreeSet;

use sequent_core::ArtifactId;
use sequent_tool::names;
use serde::Serialize;
use url::Url;

use crate::{AgentDefinition, AgentTool, Error, InvalidField, Surroundings, variable::default_problem};

pub(crate) use templates::{in_template, templates};

/// Bytes of a template at most.
pub(crate) const MAX_TEMPLATE: usize = 32_000;
/// Characters of a note about a version at most.
pub(crate) const MAX_CHANGE: usize = 500;
/// Bytes of a definition in JSON at most.
const MAX_DEFINITION: usize = 100_000;
const MAX_PROMPTS: usize = 20;
const MAX_VARIABLES: usize = 50;
const MAX_FALLBACKS: usize = 5;
const MAX_TOOLS: usize = 64;
const MAX_STARTERS: usize = 10;
const MAX_TURNS: u32 = 1_000;
const MAX_NOTES: u32 = 50;

/// The fields that are not allowed.
#[derive(Default)]
pub(crate) struct Findings(Vec<InvalidField>);

impl Findings {
    /// Notes a field that does not keep a rule.
    pub(crate) fn require(&mut self, holds: bool, pointer: impl Into<String>, rule: impl Into<String>) {
        if !holds {
            self.0.push(InvalidField::new(pointer, rule));
        }
    }

    /// Requires at most `max` characters, of which none but line breaks and tabs is a control character.
    pub(crate) fn text(&mut self, text: &str, max: usize, pointer: impl Into<String>) {
        let is_plain = |character: char| !character.is_control() || matches!(character, '\n' | '\r' | '\t');
        let holds = text.chars().count() <= max && text.chars().all(is_plain);
        self.require(
            holds,
            pointer,
            format!("must have at most {max} characters, and no control characters"),
        );
    }

    fn count(&mut self, count: usize, max: usize, pointer: &str) {
        self.require(count <= max, pointer, format!("must have at most {max} items"));
    }

    /// Requires that the JSON of a whole definition is not too long.
    fn size(&mut self, definition: &impl Serialize) -> Result<(), Error> {
        let bytes = serde_json::to_string(definition).map_err(Error::Malformed)?.len();
        self.require(
            bytes <= MAX_DEFINITION,
            "/definition",
            format!("must have at most {MAX_DEFINITION} bytes in JSON"),
        );
        Ok(())
    }

    /// Returns an error if any field is not allowed.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

/// Checks everything of a definition but its templates.
pub(crate) fn check(definition: &AgentDefinition) -> Result<(), Error> {
    let mut findings = Findings::default();
    findings.text(&definition.description, 1_000, "/definition/description");
    check_persona(definition, &mut findings);
    let is_short = definition.instructions.len() <= MAX_TEMPLATE;
    findings.require(is_short, "/definition/instructions", format!("must have at most {MAX_TEMPLATE} bytes"));
    check_prompts(definition, &mut findings);
    check_variables(definition, &mut findings);
    findings.count(definition.fallbacks.len(), MAX_FALLBACKS, "/definition/fallbacks");
    check_tools(definition.tools.as_deref().unwrap_or_default(), &mut findings);
    check_client_tools(definition, &mut findings);
    let has_both = definition.deliverable_type.is_some() && definition.output_schema.is_some();
    findings.require(
        !has_both,
        "/definition/output_schema",
        "must not be set together with deliverable_type",
    );
    let turns = definition.history.turns.unwrap_or(0);
    findings.require(turns <= MAX_TURNS, "/definition/history/turns", format!("must be at most {MAX_TURNS}"));
    let has_notes = definition.memory.is_none_or(|memory| (1..=MAX_NOTES).contains(&memory.max_notes));
    findings.require(has_notes, "/definition/memory/max_notes", format!("must be 1 to {MAX_NOTES}"));
    check_starters(&definition.starters, &mut findings);
    findings.size(definition)?;
    findings.finish()
}

fn check_persona(definition: &AgentDefinition, findings: &mut Findings) {
    let persona = &definition.persona;
    findings.text(
        persona.display_name.as_deref().unwrap_or_default(),
        100,
        "/definition/persona/display_name",
    );
    findings.text(persona.manner.as_deref().unwrap_or_default(), 2_000, "/definition/persona/manner");
    let holds = persona.picture.as_deref().is_none_or(is_picture);
    let rule = "must be the id of an artifact, or an address of at most 2000 bytes that begins with https://";
    findings.require(holds, "/definition/persona/picture", rule);
}

fn is_picture(text: &str) -> bool {
    let is_address = || {
        text.len() <= 2_000
            && text.starts_with("https://")
            && Url::parse(text).is_ok_and(|url| url.has_host())
    };
    text.parse::<ArtifactId>().is_ok() || is_address()
}

fn check_prompts(definition: &AgentDefinition, findings: &mut Findings) {
    findings.count(definition.prompts.len(), MAX_PROMPTS, "/definition/prompts");
    let mut names = BTreeSet::new();
    for (index, prompt) in definition.prompts.iter().enumerate() {
        let is_new = names.insert(&prompt.name);
        findings.require(is_new, format!("/definition/prompts/{index}"), "is listed twice");
    }
}

fn check_variables(definition: &AgentDefinition, findings: &mut Findings) {
    findings.count(definition.variables.len(), MAX_VARIABLES, "/definition/variables");
    for (name, spec) in &definition.variables {
        let at = format!("/definition/variables/{name}");
        let is_standard = Surroundings::NAMES.contains(&name.as_str());
        findings.require(!is_standard, at.as_str(), "is the name of a standard variable");
        findings.text(&spec.description, 500, format!("{at}/description"));
        if let Some(problem) = default_problem(spec) {
            findings.require(false, format!("{at}/default"), problem);
        }
    }
}

fn check_tools(tools: &[AgentTool], findings: &mut Findings) {
    findings.count(tools.len(), MAX_TOOLS, "/definition/tools");
    let mut names = BTreeSet::new();
    for (index, tool) in tools.iter().enumerate() {
        let at = format!("/definition/tools/{index}/name");
        let is_name =
            (1..=64).contains(&tool.name.len()) && tool.name.bytes().all(|byte| byte.is_ascii_graphic());
        findings.require(is_name, at.as_str(), "must have 1 to 64 visible ASCII characters");
        findings.require(names.insert(&tool.name), at, "is listed twice");
    }
}

fn check_client_tools(definition: &AgentDefinition, findings: &mut Findings) {
    for name in definition.client_tools.names() {
        let at = "/definition/client_tools";
        let rule = |whose: &str| format!("must have no tool with the name `{name}`, which is {whose}");
        findings.require(!names::is_of_deployment(name), at, rule("a tool of the deployment"));
        findings.require(!definition.names_tool(name), at, rule("one of `tools`"));
    }
}

fn check_starters(starters: &[String], findings: &mut Findings) {
    findings.count(starters.len(), MAX_STARTERS, "/definition/starters");
    for (index, starter) in starters.iter().enumerate() {
        let at = format!("/definition/starters/{index}");
        findings.require(!starter.trim().is_empty(), at.as_str(), "must not be empty");
        findings.text(starter, 500, at);
    }
}
