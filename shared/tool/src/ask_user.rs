//! `ask_user`: asks a person. The run waits until the person has answered.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{Error, Schema, Tool, ToolKind, schema};

/// The name of the tool.
pub const NAME: &str = "ask_user";

/// Bytes of the schema of an answer at most. The schema is stored with the question, and shown with it.
const MAX_SCHEMA: usize = 16 << 10;

/// The arguments of a call: a question of the model to a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserQuestion {
    /// What to ask. The person sees only this, so it must make sense by itself.
    #[schemars(length(min = 1, max = 4000))]
    pub question: String,
    /// Answers to choose from, if the answer is one of a few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 2, max = 20), inner(length(min = 1, max = 500)), extend("uniqueItems" = true))]
    pub options: Vec<String>,
    /// JSON Schema of the answer, if it needs a structure. Not together with options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Map<String, Value>")]
    pub response_schema: Option<Value>,
}

/// Creates the tool `ask_user`.
#[must_use]
pub fn tool() -> Tool {
    let description = "Asks the person you work for, and waits for the answer, which may take days. Use it when only \
                       they can know or decide, not for what you can find out.";
    let parameters = schema::of::<UserQuestion>();
    // The result is what a person wrote.
    Tool {
        idempotent: true,
        finds_addresses: true,
        ..Tool::new(NAME, description, parameters, ToolKind::AsksPerson)
    }
}

impl UserQuestion {
    /// Parses arguments that [`Registry::check`](crate::Registry::check) has accepted.
    ///
    /// # Errors
    /// [`Error::Refused`] if answers could not be checked: the schema is not valid or too large, or there are options
    /// as well.
    pub fn from_arguments(arguments: Value) -> Result<Self, Error> {
        let question: Self = serde_json::from_value(arguments)
            .map_err(|error| Error::Refused(format!("The arguments are not valid: {error}.")))?;
        let bytes = question.answer_schema().map_or(0, |schema| schema.to_string().len());
        if bytes > MAX_SCHEMA {
            return Err(Error::Refused(format!(
                "The schema of the answer has {bytes} bytes; at most {MAX_SCHEMA} are allowed. Ask for less at once, or for \
                 shorter options."
            )));
        }
        if let Some(schema) = &question.response_schema {
            if !question.options.is_empty() {
                return Err(Error::Refused("Give `options` or `response_schema`, not both.".into()));
            }
            Schema::new(schema)
                .map_err(|error| Error::Refused(format!("The `response_schema` is {error}.")))?;
        }
        Ok(question)
    }

    /// The schema that the answer must match, if there is one. Options are expressed as a schema, too.
    #[must_use]
    pub fn answer_schema(&self) -> Option<Value> {
        match &self.response_schema {
            Some(schema) => Some(schema.clone()),
            None if self.options.is_empty() => None,
            None => Some(json!({"type": "string", "enum": self.options})),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;

    fn ask(arguments: &str) -> Result<UserQuestion, Error> {
        let registry = Registry::new([tool()]).unwrap();
        UserQuestion::from_arguments(registry.check("ask_user", arguments)?)
    }

    #[test]
    fn a_question_contains_the_schema_of_its_answer() {
        assert_eq!(ask(r#"{"question":"Why?"}"#).unwrap().answer_schema(), None);
        let choice = ask(r#"{"question":"Which?","options":["a","b"]}"#).unwrap().answer_schema().unwrap();
        let schema = Schema::new(&choice).unwrap();
        assert!(schema.check(&json!("a")).is_ok() && schema.check(&json!("c")).is_err());
        let own = ask(r#"{"question":"How many?","response_schema":{"type":"integer"}}"#).unwrap();
        assert_eq!(own.answer_schema(), Some(json!({"type": "integer"})));
    }

    #[test]
    fn a_question_without_a_possible_answer_is_refused() {
        for arguments in [
            r#"{}"#,
            r#"{"question":""}"#,
            r#"{"question":"Which?","options":["a"]}"#,
            r#"{"question":"Which?","options":["a","b"],"response_schema":{}}"#,
            r#"{"question":"What?","response_schema":{"type":"nothing"}}"#,
            r#"{"question":"What?","response_schema":{"$ref":"file:///etc/hostname"}}"#,
            r##"{"question":"What?","response_schema":{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}}"##,
        ] {
            assert!(matches!(ask(arguments), Err(Error::Refused(_))), "{arguments}");
        }
    }

    #[test]
    fn a_schema_that_is_too_large_is_refused_with_the_limit() {
        let long = "x".repeat(MAX_SCHEMA);
        let schema = json!({"question": "What?", "response_schema": {"type": "string", "description": long}});
        let options: Vec<String> = (0..20).map(|n| format!("{n}{}", "\u{1}".repeat(490))).collect();
        for arguments in [schema, json!({"question": "Which?", "options": options})] {
            let refused = ask(&arguments.to_string());
            assert!(
                matches!(&refused, Err(Error::Refused(why)) if why.contains("at most 16384")),
                "{refused:?}"
            );
        }
    }
}
