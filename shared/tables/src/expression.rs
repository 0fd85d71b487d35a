//! Placeholders: the names and values of an expression, apart from its text.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::value::Path;

/// Names and values that an expression refers to. DynamoDB refuses a placeholder that is not used, so each is made
/// when the expression mentions it.
#[derive(Debug, Default)]
pub(crate) struct Placeholders {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Placeholders {
    /// The path with a placeholder for each name, such as `#n0.#n1`.
    pub(crate) fn path(&mut self, path: &Path) -> String {
        let names: Vec<String> = path.names().iter().map(|name| self.name(name)).collect();
        names.join(".")
    }

    fn name(&mut self, name: &str) -> String {
        let known = self.names.iter().find(|(_, known)| *known == name);
        if let Some((placeholder, _)) = known {
            return placeholder.clone();
        }
        let placeholder = format!("#n{}", self.names.len());
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    /// A placeholder for the value, such as `:v0`.
    pub(crate) fn value(&mut self, value: &AttributeValue) -> String {
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value.clone());
        placeholder
    }

    /// The names, or `None` if the expression has none: DynamoDB refuses an empty map.
    pub(crate) fn names(&self) -> Option<HashMap<String, String>> {
        (!self.names.is_empty()).then(|| self.names.clone())
    }

    /// The values, or `None` if the expression has none.
    pub(crate) fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }
}
