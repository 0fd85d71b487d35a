//! The values of variables: checked against their types, and completed.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{Error, InvalidField, Surroundings, VariableKind, VariableName, VariableSpec, surroundings};

/// Bytes of a text at most.
const MAX_TEXT: usize = 8_000;
/// Bytes of all values in JSON at most. They are in the log of the run, and in its row, which is written several times.
const MAX_ALL: usize = 8_000;

impl VariableKind {
    /// Returns `true` if the value has the type.
    pub(crate) fn accepts(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
        }
    }

    /// Returns a value of the type, to try a template with.
    pub(crate) fn sample(self) -> Value {
        match self {
            Self::String => Value::from("text"),
            Self::Number => Value::from(1),
            Self::Boolean => Value::from(true),
        }
    }

    const fn rule(self) -> &'static str {
        match self {
            Self::String => "must be a string",
            Self::Number => "must be a number",
            Self::Boolean => "must be true or false",
        }
    }
}

/// Returns the values of all variables: those given, the defaults, and the standard ones. A variable without a value is null.
pub(crate) fn complete(
    specs: &BTreeMap<VariableName, VariableSpec>,
    given: &Map<String, Value>,
    surroundings: &Surroundings,
) -> Result<Map<String, Value>, Error> {
    let mut wrong: Vec<InvalidField> =
        given.keys().filter_map(|name| unknown(specs, name).map(|why| invalid(name, why))).collect();
    let mut values = surroundings.variables();
    for (name, value) in given.iter().filter(|(name, value)| is_surrounding(name) && !value.is_null()) {
        match value.as_str() {
            Some(text) => drop(values.insert(name.clone(), surroundings::one_line(text))),
            None => wrong.push(invalid(name, VariableKind::String.rule())),
        }
    }
    for (name, spec) in specs {
        match value(spec, given.get(name.as_str())) {
            Ok(value) => {
                values.insert(name.to_string(), value);
            }
            Err(why) => wrong.push(invalid(name.as_str(), why)),
        }
    }
    if wrong.is_empty() && serde_json::to_string(&values).map_err(Error::Malformed)?.len() > MAX_ALL {
        wrong.push(InvalidField::new("/variables", format!("must have at most {MAX_ALL} bytes in JSON")));
    }
    if wrong.is_empty() { Ok(values) } else { Err(Error::Variables(wrong)) }
}

/// Returns `true` if the name is that of a standard variable to which a request may give a value: the service does not know the
/// name of the product's user, or where that user is.
fn is_surrounding(name: &str) -> bool {
    name != "date" && Surroundings::NAMES.contains(&name)
}

/// Returns the reason why no value can be given for the name, or `None` if one can.
fn unknown(specs: &BTreeMap<VariableName, VariableSpec>, name: &str) -> Option<&'static str> {
    if specs.keys().any(|known| known.as_str() == name) || is_surrounding(name) {
        None
    } else if Surroundings::NAMES.contains(&name) {
        Some("is the day, which the service sets")
    } else {
        Some("is not a variable of the agent")
    }
}

fn value(spec: &VariableSpec, given: Option<&Value>) -> Result<Value, &'static str> {
    match given.filter(|value| !value.is_null()) {
        Some(value) if !spec.kind.accepts(value) => Err(spec.kind.rule()),
        Some(value) => fits(value).map(|()| value.clone()),
        None if spec.required => Err("must be given"),
        None => Ok(spec.default.clone().unwrap_or(Value::Null)),
    }
}

/// Checks the length of a text.
pub(crate) fn fits(value: &Value) -> Result<(), &'static str> {
    let fits = value.as_str().is_none_or(|text| text.len() <= MAX_TEXT);
    if fits { Ok(()) } else { Err("must have at most 8000 bytes") }
}

/// Returns values of all variables with which a template can be tried.
pub(crate) fn samples(specs: &BTreeMap<VariableName, VariableSpec>) -> Map<String, Value> {
    let standard = Surroundings::NAMES.map(|name| (name.to_owned(), Value::from("text")));
    let own = specs
        .iter()
        .map(|(name, spec)| (name.to_string(), spec.default.clone().unwrap_or_else(|| spec.kind.sample())));
    standard.into_iter().chain(own).collect()
}

/// Returns the problem of a default, or `None` if there is none.
pub(crate) fn default_problem(spec: &VariableSpec) -> Option<&'static str> {
    let default = spec.default.as_ref()?;
    if spec.required {
        return Some("must not be set for a variable that is required");
    }
    if spec.kind.accepts(default) { fits(default).err() } else { Some(spec.kind.rule()) }
}

fn invalid(name: &str, why: &'static str) -> InvalidField {
    InvalidField::new(format!("/variables/{}", name.replace('~', "~0").replace('/', "~1")), why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn specs(json: Value) -> BTreeMap<VariableName, VariableSpec> {
        serde_json::from_value(json).unwrap()
    }

    fn given(json: Value) -> Map<String, Value> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn values_are_completed_with_defaults_and_with_the_surroundings() {
        let specs = specs(json!({
            "shop": {"type": "string", "required": true}, "limit": {"type": "number", "default": 2.5},
            "is_open": {"type": "boolean"},
        }));
        let surroundings = Surroundings { locale: Some("de-AT".into()), ..Surroundings::default() };
        let values =
            complete(&specs, &given(json!({"shop": "Tides", "limit": null})), &surroundings).unwrap();
        let expected = json!({
            "shop": "Tides", "limit": 2.5, "is_open": null,
            "user_name": null, "locale": "de-AT", "time_zone": null, "date": null,
        });
        assert_eq!(Value::Object(values), expected);
    }

    #[test]
    fn wrong_values_are_named() {
        let specs = specs(json!({
            "shop": {"type": "string", "required": true}, "limit": {"type": "number"}, "note": {"type": "string"},
        }));
        let values = json!({"limit": "3", "note": "x".repeat(8_001), "a/b": 1, "date": "today"});
        let Err(Error::Variables(wrong)) = complete(&specs, &given(values), &Surroundings::default()) else {
            panic!("accepted")
        };
        let mut pointers: Vec<&str> = wrong.iter().map(|field| field.pointer.as_str()).collect();
        pointers.sort_unstable();
        let expected =
            ["/variables/a~1b", "/variables/date", "/variables/limit", "/variables/note", "/variables/shop"];
        assert_eq!(pointers, expected);
    }

    #[test]
    fn all_values_together_are_bounded() {
        let names: Vec<String> = (0..5).map(|n| format!("v{n}")).collect();
        let specs = specs(names.iter().map(|name| (name.clone(), json!({"type": "string"}))).collect());
        let values = |bytes: usize| {
            let values: Value = names.iter().map(|name| (name.clone(), json!("x".repeat(bytes)))).collect();
            complete(&specs, &given(values), &Surroundings::default())
        };
        assert!(values(1_500).is_ok());
        assert!(matches!(values(1_700), Err(Error::Variables(wrong)) if wrong[0].pointer == "/variables"));
    }
}
