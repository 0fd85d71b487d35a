//! The models that callers may name.

use crate::{ModelName, Provider, bedrock, config};

/// The models that callers of a deployment may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedModels {
    /// Names, or beginnings of names with a `*` at the end. Any model if `None`.
    patterns: Option<Vec<String>>,
    /// The demo answers requests that name it.
    demo: bool,
    /// The list is the operator's own, and not made of the models that the deployment uses by itself.
    is_explicit: bool,
}

impl AllowedModels {
    /// Any model, and the demo.
    #[must_use]
    pub fn any() -> Self {
        Self { patterns: None, demo: true, is_explicit: false }
    }

    /// The models of this list, whose names are separated by commas.
    #[must_use]
    pub fn listed(list: &str) -> Self {
        Self { patterns: Some(names(list)), demo: true, is_explicit: true }
    }

    /// Reads `ALLOWED_MODELS`. Without it, the default models of the deployment, their fallbacks and the models
    /// of Bedrock that it names are allowed; on one machine (`LOCAL`), any model is. The demo is only allowed on one machine.
    ///
    /// # Errors
    /// If `DEFAULT_MODEL` is not valid.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, config::Error> {
        let text = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let is_local = text("LOCAL").as_deref() == Some("true");
        let listed = text("ALLOWED_MODELS").map(|list| names(&list));
        let is_explicit = listed.is_some();
        let patterns = match listed {
            Some(listed) => Some(listed),
            None if is_local => None,
            None => Some(own_models(&text)?),
        };
        Ok(Self { patterns, demo: is_local, is_explicit })
    }

    /// Allows these models, too, unless the operator has listed the models that are allowed.
    #[must_use]
    pub fn or_planned<'a>(mut self, plans: impl IntoIterator<Item = &'a String>) -> Self {
        if let Some(patterns) = self.patterns.as_mut().filter(|_| !self.is_explicit) {
            patterns.extend(plans.into_iter().cloned());
        }
        self
    }

    /// Returns `true` if callers may name the model.
    #[must_use]
    pub fn contains(&self, model: &ModelName) -> bool {
        if model.split().0 == Provider::Demo {
            return self.demo;
        }
        let fits = |pattern: &String| matches(pattern, model.as_str());
        self.patterns.as_ref().is_none_or(|patterns| patterns.iter().any(fits))
    }
}

/// The models that the deployment uses by itself, and those of Bedrock that its role may call.
fn own_models(lookup: &impl Fn(&str) -> Option<String>) -> Result<Vec<String>, config::Error> {
    let defaults = config::default_models(lookup)?;
    let listed = config::own_models(lookup)?;
    let names = defaults.into_iter().chain(listed).map(String::from);
    Ok(names.chain(bedrock::models(lookup)).collect())
}

pub(crate) fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Returns `true` if the pattern is the name of the model, or its beginning followed by `*`. A name with its provider and
/// one without are the same if they select the same provider.
#[must_use]
pub fn matches(pattern: &str, model: &str) -> bool {
    let fits = |pattern: &str, model: &str| match pattern.strip_suffix('*') {
        Some(beginning) => model.starts_with(beginning),
        None => pattern == model,
    };
    fits(pattern, model) || fits(&with_provider(pattern), &with_provider(model))
}

fn with_provider(name: &str) -> String {
    match name {
        "*" => name.to_owned(),
        _ => {
            let (provider, plain) = ModelName::parts(name);
            format!("{}/{plain}", provider.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(env: &[(&str, &str)]) -> AllowedModels {
        let lookup =
            |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        AllowedModels::from_lookup(lookup).unwrap()
    }

    fn has(allowed: &AllowedModels, model: &str) -> bool {
        allowed.contains(&model.parse().unwrap())
    }

    #[test]
    fn a_pattern_fits_a_name_with_and_without_its_provider() {
        for (pattern, model, fits) in [
            ("gpt-5.4-mini", "openai/gpt-5.4-mini", true),
            ("openai/gpt-5*", "gpt-5.4-mini", true),
            ("gpt-5*", "gpt-4o", false),
            ("claude-*", "anthropic/claude-opus-4-5", true),
            ("claude-*", "openai/claude-opus-4-5", false),
            ("anthropic/*", "claude-opus-4-5", true),
            ("openai/*", "claude-opus-4-5", false),
            ("*", "anything", true),
            ("gpt-5.4-mini", "gpt-5.4-mini-x", false),
        ] {
            assert_eq!(matches(pattern, model), fits, "{pattern} {model}");
        }
    }

    #[test]
    fn without_a_list_only_the_deployments_own_models_are_allowed() {
        let own = allowed(&[("DEFAULT_MODEL", "openai/gpt-5.4-mini, claude-sonnet-4-6,gpt-4o")]);
        assert!(has(&own, "gpt-5.4-mini") && has(&own, "claude-sonnet-4-6") && has(&own, "openai/gpt-4o"));
        assert!(!has(&own, "gpt-5.4-pro") && !has(&own, "demo") && !has(&own, "demo/fast"));
        let planned = own.or_planned(&["gpt-5.4-pro".to_owned()]);
        assert!(has(&planned, "gpt-5.4-pro") && !has(&planned, "o3"));
    }

    #[test]
    fn the_models_that_the_role_may_call_are_allowed() {
        let own = allowed(&[("BEDROCK_MODELS", "eu.anthropic.claude-sonnet-4-5*,amazon.nova-pro-v1:0")]);
        for (model, is_allowed) in [
            ("bedrock/eu.anthropic.claude-sonnet-4-5-20250929-v1:0", true),
            ("bedrock/amazon.nova-pro-v1:0", true),
            ("bedrock/global.anthropic.claude-sonnet-4-5-20250929-v1:0", false),
            ("amazon.nova-pro-v1:0", false),
        ] {
            assert_eq!(has(&own, model), is_allowed, "{model}");
        }
    }

    #[test]
    fn a_list_replaces_the_default() {
        let listed = allowed(&[("ALLOWED_MODELS", "gpt-5*, anthropic/claude-haiku-4-5"), ("LOCAL", "false")]);
        assert!(
            has(&listed, "gpt-5.4-pro")
                && has(&listed, "claude-haiku-4-5")
                && !has(&listed, "claude-opus-4-5")
        );
        assert!(!has(&listed.or_planned(&["o3".to_owned()]), "o3"), "a plan does not widen it");
    }

    #[test]
    fn the_demo_answers_on_one_machine_only() {
        assert!(has(&allowed(&[("LOCAL", "true")]), "demo"));
        for env in [
            &[][..],
            &[("LOCAL", "false")],
            &[("LOCAL", "false"), ("ALLOWED_MODELS", "demo")],
            &[("LOCAL", "false"), ("OPENAI_BASE_URL", "https://api.example/v1")],
        ] {
            assert!(!has(&allowed(env), "demo"), "{env:?}");
        }
        assert!(has(&allowed(&[("LOCAL", "true")]), "any-model"));
    }
}
