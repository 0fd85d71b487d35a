//! The public side of the errors of agents and prompts.

use sequent_core::{ApiError, Code, ErrorDetails};
use sequent_tables::key::DefinitionKind;
use sequent_tool::ClientTools;

use crate::{Error, InvalidField, MAX_BYTES, MAX_DEFINITIONS, MAX_LABELS, MAX_VERSIONS};

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        match self {
            Self::AgentNotFound => {
                ErrorDetails::new(Code::AgentNotFound, "There is no agent with this id or name.")
            }
            Self::PromptNotFound => {
                ErrorDetails::new(Code::PromptNotFound, "There is no prompt with this name.")
            }
            Self::VersionNotFound(version) => {
                ErrorDetails::new(Code::VersionNotFound, format!("There is no version {version}."))
            }
            Self::LabelNotFound(label) => {
                ErrorDetails::new(Code::LabelNotFound, format!("There is no label `{label}`."))
            }
            Self::LabelMoved(actual) => label_moved(*actual),
            Self::NameTaken(kind) => name_taken(*kind),
            Self::TooManyDefinitions(kind) => too_many(*kind),
            Self::TooManyVersions => limit(format!(
                "An agent or a prompt has at most {MAX_VERSIONS} versions. Create another one."
            )),
            Self::TooManyLabels => {
                limit(format!("An agent or a prompt has at most {MAX_LABELS} labels. Remove one first."))
            }
            Self::Invalid(fields) => {
                let details = ErrorDetails::new(Code::ValidationFailed, "The definition is not allowed.");
                fields.iter().fold(details, located)
            }
            Self::Template(field) => {
                let details =
                    located(ErrorDetails::new(Code::TemplateInvalid, "The template is not allowed."), field);
                field.line.into_iter().fold(details, |details, line| details.with("line", line))
            }
            Self::NotRendered(why) => {
                let detail = format!("The instructions of the agent cannot be rendered: {why}.");
                ErrorDetails::new(Code::TemplateInvalid, detail)
            }
            Self::DefaultNeedsVariable(name) => {
                let detail = "Requests that ask for no agent give no values to variables. Give the variable a default, or choose \
                              another agent.";
                ErrorDetails::new(Code::ValidationFailed, detail)
                    .at("/agent", format!("must be an agent without required variables, such as `{name}`"))
            }
            Self::TooManyBytes => {
                let detail = format!(
                    "The versions of agents and prompts have {MAX_BYTES} bytes together, those of deleted ones included, because \
                     runs refer to them. No more can be stored."
                );
                ErrorDetails::new(Code::StorageLimitReached, detail).with("max_bytes", MAX_BYTES)
            }
            Self::ClientToolTaken(name) => {
                let detail = format!(
                    "The agent has a tool with the name `{name}`. Give the client's tool another one."
                );
                ErrorDetails::new(Code::ValidationFailed, detail)
                    .at("/client_tools", format!("must have no tool with the name `{name}`"))
            }
            Self::TooManyClientTools => {
                let rule = format!(
                    "and those of the agent must have at most {} tools and {} bytes together",
                    ClientTools::MAX,
                    ClientTools::MAX_BYTES
                );
                ErrorDetails::new(Code::ValidationFailed, "There are too many tools of the client.")
                    .at("/client_tools", rule)
            }
            Self::Variables(fields) => {
                // A model that asks an agent reads the text alone.
                let rules = fields.iter().map(|field| format!("{} {}", field.pointer, field.detail));
                let rules: Vec<String> = rules.collect();
                let detail =
                    format!("The values of the agent's variables are not allowed: {}.", rules.join("; "));
                fields.iter().fold(ErrorDetails::new(Code::VariablesInvalid, detail), located)
            }
            Self::Cursor(error) => error.details(),
            Self::Malformed(_) => ErrorDetails::internal(),
            Self::Data(error) => error.details(),
            Self::Commit(error) => error.details(),
        }
    }
}

fn located(details: ErrorDetails, field: &InvalidField) -> ErrorDetails {
    details.at(&field.pointer, field.detail.clone())
}

fn label_moved(actual: Option<u32>) -> ErrorDetails {
    let detail = match actual {
        Some(version) => format!("The label has the version {version}, and not the expected one."),
        None => "The label is not set, although a version is expected.".to_owned(),
    };
    ErrorDetails::new(Code::LabelMoved, detail).with("version", actual)
}

fn name_taken(kind: DefinitionKind) -> ErrorDetails {
    let detail = match kind {
        DefinitionKind::Agent => "There is an agent with this name.",
        DefinitionKind::Prompt => "There is a prompt with this name. Add a version to it instead.",
    };
    ErrorDetails::new(Code::NameTaken, detail).at("/name", "is taken")
}

fn too_many(kind: DefinitionKind) -> ErrorDetails {
    let kind = match kind {
        DefinitionKind::Agent => "agents",
        DefinitionKind::Prompt => "prompts",
    };
    limit(format!("A tenant can have at most {MAX_DEFINITIONS} {kind}. Delete one first."))
}

fn limit(detail: String) -> ErrorDetails {
    ErrorDetails::new(Code::DefinitionsLimit, detail)
}
