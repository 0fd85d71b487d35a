//! `ask_user`: the run stops until a person has answered.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Error, Kind, Schema, Tool};

/// What the model asks, parsed from the call's arguments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The question, for a person to read.
    pub question: String,
    /// Answers to choose from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// JSON Schema that the answer must fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_schema: Option<Value>,
}

/// The tool.
#[must_use]
pub fn tool() -> Tool {
    let parameters = json!({
        "type": "object",
        "properties": {
            "question": {
                "type": "string", "minLength": 1, "maxLength": 4000,
                "description": "What to ask. The person sees only this, so it must make sense by itself."
            },
            "options": {
                "type": "array", "minItems": 2, "maxItems": 20, "uniqueItems": true,
                "items": {"type": "string", "minLength": 1, "maxLength": 500},
                "description": "Answers to choose from, if the answer is one of a few."
            },
            "response_schema": {
                "type": "object",
                "description": "JSON Schema of the answer, if it needs a structure. Not together with options."
            }
        },
        "required": ["question"],
        "additionalProperties": false
    });
    let description = "Asks the person you work for, and waits for the answer, which may take days. Use it when only \
                       they can know or decide, not for what you can find out.";
    Tool { idempotent: true, ..Tool::new("ask_user", description, parameters, Kind::AsksPerson) }
}

impl Question {
    /// From arguments that [`Registry::check`](crate::Registry::check) has passed.
    ///
    /// # Errors
    /// [`Error::Refused`] if no answer could be checked: the schema is none, or there are two.
    pub fn from_arguments(arguments: Value) -> Result<Self, Error> {
        let question: Self = serde_json::from_value(arguments)
            .map_err(|error| Error::Refused(format!("The arguments do not fit: {error}.")))?;
        if let Some(schema) = &question.response_schema {
            if !question.options.is_empty() {
                return Err(Error::Refused("Give `options` or `response_schema`, not both.".into()));
            }
            Schema::new(schema)
                .map_err(|error| Error::Refused(format!("The `response_schema` is {error}.")))?;
        }
        Ok(question)
    }

    /// The schema that an answer must fit, if there is one. Options are one as well.
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

    fn ask(arguments: &str) -> Result<Question, Error> {
        let registry = Registry::new([tool()]).unwrap();
        Question::from_arguments(registry.check("ask_user", arguments)?)
    }

    #[test]
    fn a_question_says_what_an_answer_must_be() {
        assert_eq!(ask(r#"{"question":"Why?"}"#).unwrap().answer_schema(), None);
        let choice = ask(r#"{"question":"Which?","options":["a","b"]}"#).unwrap().answer_schema().unwrap();
        let schema = Schema::new(&choice).unwrap();
        assert!(schema.check(&json!("a")).is_ok() && schema.check(&json!("c")).is_err());
        let own = ask(r#"{"question":"How many?","response_schema":{"type":"integer"}}"#).unwrap();
        assert_eq!(own.answer_schema(), Some(json!({"type": "integer"})));
    }

    #[test]
    fn a_question_nobody_could_answer_is_refused() {
        for arguments in [
            r#"{}"#,
            r#"{"question":""}"#,
            r#"{"question":"Which?","options":["a"]}"#,
            r#"{"question":"Which?","options":["a","b"],"response_schema":{}}"#,
            r#"{"question":"What?","response_schema":{"type":"nothing"}}"#,
            r#"{"question":"What?","response_schema":{"$ref":"file:///etc/hostname"}}"#,
        ] {
            assert!(matches!(ask(arguments), Err(Error::Refused(_))), "{arguments}");
        }
    }
}
