//! The prompts of the service's own jobs: built in, and replaceable by prompts with reserved names.

use sequent_core::Timestamp;
use serde_json::{Map, Value};

use crate::{
    DefinitionName, Error, InvalidField, Surroundings, VariableKind,
    check::in_template,
    template::{self, Flaw, Outline},
};

/// The beginning of all reserved names.
const PREFIX: &str = "sequent-";

/// A prompt of the service's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServicePrompt {
    /// Names a conversation after its first messages.
    Naming,
    /// Collects the entities that a report names.
    Entities,
    /// Writes the report that accompanies a website.
    CompanionReport,
}

impl ServicePrompt {
    /// All prompts of the service.
    pub const ALL: [Self; 3] = [Self::Naming, Self::Entities, Self::CompanionReport];

    /// Returns the reserved name, under which a tenant can define a prompt in place of the built-in one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Naming => "sequent-naming",
            Self::Entities => "sequent-entities",
            Self::CompanionReport => "sequent-companion-report",
        }
    }

    /// Returns the built-in text, a template.
    #[must_use]
    pub const fn built_in(self) -> &'static str {
        match self {
            Self::Naming => include_str!("../prompts/sequent-naming.txt"),
            Self::Entities => include_str!("../prompts/sequent-entities.txt"),
            Self::CompanionReport => include_str!("../prompts/sequent-companion-report.txt"),
        }
        .trim_ascii_end()
    }

    /// Returns the variables that the text may use, with their types. None has a text of others for its value.
    #[must_use]
    pub const fn variables(self) -> &'static [(&'static str, VariableKind)] {
        use VariableKind::{Number, String};
        match self {
            Self::Naming => &[("date", String), ("max_characters", Number)],
            Self::Entities => &[("date", String), ("types", String), ("max_entities", Number)],
            Self::CompanionReport => &[("date", String)],
        }
    }

    /// Returns the values of all variables: the day, those given, and null for others.
    pub(crate) fn complete(
        self,
        given: impl IntoIterator<Item = (&'static str, Value)>,
        now: Timestamp,
    ) -> Map<String, Value> {
        let none = self.variables().iter().map(|(name, _)| ((*name).to_owned(), Value::Null));
        let date = Surroundings::on(now).date.map(|date| ("date".to_owned(), Value::from(date)));
        let given = given.into_iter().map(|(name, value)| (name.to_owned(), value));
        none.chain(date).chain(given).collect()
    }

    fn samples(self) -> Map<String, Value> {
        self.variables().iter().map(|(name, kind)| ((*name).to_owned(), kind.sample())).collect()
    }
}

/// Checks a version of a prompt that may be one of the service's own.
pub(crate) fn check(name: &DefinitionName, source: &str, outline: &Outline) -> Result<(), Error> {
    let Some(prompt) = of_name(name)? else { return Ok(()) };
    let is_known = |used: &str| prompt.variables().iter().any(|(known, _)| *known == used);
    if let Some((used, line)) = outline.variables.iter().find(|(used, _)| !is_known(used)) {
        let known: Vec<&str> = prompt.variables().iter().map(|(name, _)| *name).collect();
        let detail = format!("uses `{used}`; the variables of this prompt are {}", known.join(", "));
        return Err(in_template("/template", Flaw { line: Some(*line), detail }));
    }
    let rendered = template::render(source, std::iter::empty(), &prompt.samples());
    rendered.map(drop).map_err(|flaw| in_template("/template", flaw))
}

/// Returns the prompt of the service with this name. Returns `None` if the name is not a reserved one.
fn of_name(name: &DefinitionName) -> Result<Option<ServicePrompt>, Error> {
    if !name.as_str().starts_with(PREFIX) {
        return Ok(None);
    }
    let prompt = ServicePrompt::ALL.into_iter().find(|prompt| prompt.name() == name.as_str());
    prompt.map(Some).ok_or_else(|| {
        let names = ServicePrompt::ALL.map(ServicePrompt::name).join(", ");
        let rule =
            format!("must not begin with `{PREFIX}`, except the names of the service's own prompts: {names}");
        Error::Invalid(vec![InvalidField::new("/name", rule)])
    })
}
