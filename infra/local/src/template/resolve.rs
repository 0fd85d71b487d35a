//! Evaluates the intrinsic functions that depend only on parameters: `Ref`, `If`, the condition functions,
//! and `Sub` with parameters. Everything that only CloudFormation knows is left unchanged.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Parameter values and conditions of one deployment.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    parameters: BTreeMap<String, String>,
    conditions: Map<String, Value>,
}

impl Scope {
    /// Creates a scope from the declared defaults and the caller's overrides.
    pub(super) fn new(document: &Value, overrides: &BTreeMap<String, String>) -> Self {
        // CloudFormation's pseudo parameters. The account is the one that emulators use.
        let mut parameters: BTreeMap<String, String> = [
            ("AWS::AccountId", "000000000000"),
            ("AWS::Partition", "aws"),
            ("AWS::Region", "us-east-1"),
            ("AWS::URLSuffix", "amazonaws.com"),
        ]
        .into_iter()
        .chain(overrides.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        for (name, declaration) in document["Parameters"].as_object().into_iter().flatten() {
            let default = match &declaration["Default"] {
                Value::Null => None,
                Value::String(s) => Some(s.clone()),
                other => Some(other.to_string()),
            };
            if let Some(value) = default {
                parameters.entry(name.clone()).or_insert(value);
            }
        }
        let conditions = document["Conditions"].as_object().cloned().unwrap_or_default();
        Self { parameters, conditions }
    }

    /// Returns `true` if the resource has no `Condition` or its `Condition` is true.
    pub fn exists(&self, resource: &Value) -> bool {
        resource["Condition"].as_str().is_none_or(|name| self.condition(name))
    }

    /// Replaces everything known in a value. `AWS::NoValue` becomes null.
    pub fn resolve(&self, value: &Value) -> Value {
        match value {
            Value::Object(map) => self.intrinsic(map).unwrap_or_else(|| {
                let entries = map.iter().map(|(k, v)| (k.clone(), self.resolve(v)));
                Value::Object(entries.filter(|(_, v)| !v.is_null()).collect())
            }),
            Value::Array(items) => {
                Value::Array(items.iter().map(|v| self.resolve(v)).filter(|v| !v.is_null()).collect())
            }
            other => other.clone(),
        }
    }

    fn intrinsic(&self, map: &Map<String, Value>) -> Option<Value> {
        let (name, argument) = map.iter().next().filter(|_| map.len() == 1)?;
        match name.as_str() {
            "Ref" if argument == "AWS::NoValue" => Some(Value::Null),
            "Ref" => self.parameters.get(argument.as_str()?).cloned().map(Value::String),
            "Fn::If" => {
                let [condition, yes, no] = argument.as_array()?.as_slice() else { return None };
                Some(self.resolve(if self.condition(condition.as_str()?) { yes } else { no }))
            }
            "Fn::Sub" => self.substitute(argument.as_str()?),
            _ => None,
        }
    }

    /// Replaces `${Parameter}`. Returns `None` if the text also refers to something else.
    fn substitute(&self, text: &str) -> Option<Value> {
        let mut out = text.to_owned();
        for (name, value) in &self.parameters {
            out = out.replace(&format!("${{{name}}}"), value);
        }
        (!out.contains("${")).then_some(Value::String(out))
    }

    fn condition(&self, name: &str) -> bool {
        self.conditions.get(name).is_some_and(|expression| self.holds(expression))
    }

    fn holds(&self, expression: &Value) -> bool {
        let Some((name, argument)) = expression.as_object().and_then(|map| map.iter().next()) else {
            return false;
        };
        let parts = argument.as_array().map(Vec::as_slice).unwrap_or_default();
        match (name.as_str(), parts) {
            ("Condition", _) => argument.as_str().is_some_and(|name| self.condition(name)),
            ("Fn::Equals", [left, right]) => text(&self.resolve(left)) == text(&self.resolve(right)),
            ("Fn::Not", [inner]) => !self.holds(inner),
            ("Fn::And", all) => all.iter().all(|e| self.holds(e)),
            ("Fn::Or", any) => any.iter().any(|e| self.holds(e)),
            _ => false,
        }
    }
}

/// Returns a value as text, because CloudFormation compares all values as text.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
