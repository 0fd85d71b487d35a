//! The abilities of models as an operator states them, over the built-in ones.
//!
//! A server of one's own may have a smaller window than its model, a gateway may give a model another name, and a new model is
//! in no list.

use std::collections::HashMap;

use sequent_tables::SecretName;
use serde::Deserialize;

use super::Abilities;
use crate::{ContextWindow, ModelName, allowed::matches, operator_table::Replaceable, wire::Parameter};

/// The abilities of the models of a deployment.
#[derive(Clone, Debug, Default)]
pub struct AbilityTable {
    stated: HashMap<String, StatedAbilities>,
}

/// The abilities that the operator states. The built-in table has the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StatedAbilities {
    /// The most tokens of input and output together.
    window: Option<u64>,
    images: Option<bool>,
    pdf: Option<bool>,
    tools: Option<bool>,
    /// The model can be made to call a tool.
    forced_calls: Option<bool>,
    /// The model has a mode in which it answers with JSON of a schema.
    structured_output: Option<bool>,
    reasoning_effort: Option<bool>,
    /// The server takes the points up to which it caches a request.
    cache_points: Option<bool>,
}

/// A table of abilities is not valid.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAbilities {
    /// The text is not a JSON object of abilities.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The window is too small for a conversation.
    #[error("the window of {0} has fewer than {least} tokens", least = AbilityTable::LEAST_WINDOW)]
    SmallWindow(String),
}

impl AbilityTable {
    /// The smallest window that an operator can state. Instructions and tools alone take more of a smaller one than they
    /// leave.
    const LEAST_WINDOW: u64 = 4_096;

    /// Parses abilities: `{"my-model": {"window": 32768, "tools": false}, "llava-*": {"images": true, "pdf": false}}`.
    ///
    /// A name that ends with `*` stands for all names that begin so. If several fit a model, each ability is that of the
    /// longest one that states it. The abilities are `window`, `images`, `pdf`, `tools`, `forced_calls`, `structured_output`,
    /// `reasoning_effort` and `cache_points`.
    ///
    /// # Errors
    /// If the JSON is not such an object, or a window is too small.
    pub fn from_json(json: &str) -> Result<Self, InvalidAbilities> {
        let stated: HashMap<String, StatedAbilities> = serde_json::from_str(json)?;
        let is_small =
            |stated: &StatedAbilities| stated.window.is_some_and(|tokens| tokens < Self::LEAST_WINDOW);
        match stated.iter().find(|(_, stated)| is_small(stated)) {
            Some((name, _)) => Err(InvalidAbilities::SmallWindow(name.clone())),
            None => Ok(Self { stated }),
        }
    }

    /// Reads the abilities in `MODEL_ABILITIES`, see [`config`](crate::config).
    ///
    /// # Errors
    /// If the variable is not valid.
    pub fn from_env() -> Result<Self, InvalidAbilities> {
        match std::env::var("MODEL_ABILITIES").ok().filter(|json| !json.trim().is_empty()) {
            Some(json) => Self::from_json(&json),
            None => Ok(Self::default()),
        }
    }

    /// Returns the kinds of files that the model can be shown.
    #[must_use]
    pub fn of(&self, model: &ModelName) -> Abilities {
        let stated = self.stated(model);
        let built_in = Abilities::of(model);
        Abilities {
            images: stated.images.unwrap_or(built_in.images),
            pdf: stated.pdf.unwrap_or(built_in.pdf),
        }
    }

    /// Returns the context window of the model.
    #[must_use]
    pub fn window(&self, model: &ModelName) -> ContextWindow {
        let built_in = || ContextWindow::of(model.split().1);
        self.stated(model).window.map_or_else(built_in, ContextWindow::shared)
    }

    /// Returns `true` if the model can call tools. All can unless the operator says otherwise.
    #[must_use]
    pub fn calls_tools(&self, model: &ModelName) -> bool {
        self.stated(model).tools.unwrap_or(true)
    }

    /// Returns the parameters of which the operator says whether the model takes them.
    pub(crate) fn parameters(&self, model: &ModelName) -> impl Iterator<Item = (Parameter, bool)> + use<> {
        let stated = self.stated(model);
        let parameters = [
            (Parameter::ForcedCall, stated.forced_calls),
            (Parameter::OutputFormat, stated.structured_output),
            (Parameter::ReasoningEffort, stated.reasoning_effort),
            (Parameter::CachePoints, stated.cache_points),
        ];
        parameters.into_iter().filter_map(|(parameter, stated)| Some((parameter, stated?)))
    }

    /// Returns what is stated of the model, by its name with or without the provider.
    fn stated(&self, model: &ModelName) -> StatedAbilities {
        let (_, name) = model.split();
        let fits = |pattern: &str| matches(pattern, model.as_str()) || matches(pattern, name);
        let mut fitting: Vec<_> = self.stated.iter().filter(|(pattern, _)| fits(pattern)).collect();
        // A name is closer than a beginning of the same length.
        fitting.sort_by_key(|(pattern, _)| (pattern.trim_end_matches('*').len(), !pattern.ends_with('*')));
        fitting.into_iter().fold(StatedAbilities::default(), |below, (_, stated)| stated.over(below))
    }
}

impl StatedAbilities {
    /// Returns these abilities, and those `below` that they do not state.
    fn over(self, below: Self) -> Self {
        Self {
            window: self.window.or(below.window),
            images: self.images.or(below.images),
            pdf: self.pdf.or(below.pdf),
            tools: self.tools.or(below.tools),
            forced_calls: self.forced_calls.or(below.forced_calls),
            structured_output: self.structured_output.or(below.structured_output),
            reasoning_effort: self.reasoning_effort.or(below.reasoning_effort),
            cache_points: self.cache_points.or(below.cache_points),
        }
    }
}

impl Replaceable for AbilityTable {
    const STORED: SecretName = SecretName::Abilities;
    type InvalidTable = InvalidAbilities;

    fn with_json(&self, json: &str) -> Result<Self, InvalidAbilities> {
        let mut stated = self.stated.clone();
        for (name, new) in Self::from_json(json)?.stated {
            let entry = stated.entry(name).or_default();
            *entry = new.over(*entry);
        }
        Ok(Self { stated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ModelName {
        text.parse().unwrap()
    }

    #[test]
    fn each_ability_is_that_of_the_longest_name_that_states_it() {
        let json = r#"{"llama-*": {"window": 8192, "images": true}, "llama-3.3-70b": {"window": 65536, "tools": false},
            "gpt-4o": {"pdf": false}, "gpt-4o*": {"pdf": true, "window": 64000}, "amazon.nova-*": {"images": false}}"#;
        let table = AbilityTable::from_json(json).unwrap();
        let window = |model: &str| table.window(&name(model)).total;
        assert_eq!(
            [window("llama-3.1-8b"), window("llama-3.3-70b"), window("gpt-4o-mini"), window("gpt-4")],
            [8_192, 65_536, 64_000, 8_192]
        );
        assert!(table.of(&name("llama-3.3-70b")).images && !table.calls_tools(&name("llama-3.3-70b")));
        assert!(table.calls_tools(&name("llama-3.1-8b")));
        assert!(!table.of(&name("gpt-4o")).pdf && table.of(&name("gpt-4o")).images, "the rest is built in");
        assert!(table.of(&name("openai/gpt-4o-mini")).pdf);
        let nova = table.of(&name("bedrock/amazon.nova-pro-v1:0"));
        assert_eq!((nova.images, nova.pdf), (false, true), "by the id of Bedrock, as prices are");
    }

    #[test]
    fn a_table_that_says_something_else_is_refused() {
        for (json, problem) in [
            (r#"{"a": {"window": 100}}"#, "the window of a has fewer than 4096 tokens"),
            (r#"{"a": {"window": -1}}"#, "invalid value"),
            (r#"{"a": {"images": "yes"}}"#, "invalid type"),
            (r#"{"a": {"vision": true}}"#, "unknown field `vision`, expected one of `window`"),
            (r#"{"a": 8192}"#, "invalid type"),
            ("[]", "invalid type"),
        ] {
            let error = AbilityTable::from_json(json).unwrap_err().to_string();
            assert!(error.contains(problem), "{json}: {error}");
        }
    }
}
