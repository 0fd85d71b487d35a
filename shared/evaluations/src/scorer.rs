//! Scores of answers: how far an answer is the expected one. Pure.

use sequent_event::{ScoredAnswer, Scorer};
use sequent_tool::Schema;
use serde_json::Value;

/// Returns the score of the answer, or `None` if an agent has to judge it.
///
/// A schema that cannot be used scores 0: it is checked when the evaluation is created.
#[must_use]
pub fn score(scorer: &Scorer, answer: &str, expected: Option<&Value>) -> Option<ScoredAnswer> {
    Some(match scorer {
        Scorer::Exact => exact(answer, expected),
        Scorer::Contains => contains(answer, expected),
        Scorer::Schema { schema } => matches(answer, schema),
        Scorer::Pointer { pointer } => at_pointer(answer, expected, pointer),
        Scorer::Judge { .. } => return None,
    })
}

fn exact(answer: &str, expected: Option<&Value>) -> ScoredAnswer {
    match expected {
        None => ScoredAnswer::none("the item expects nothing"),
        Some(Value::String(text)) => ScoredAnswer::of(answer.trim() == text.trim(), "the answer differs"),
        Some(value) => match json(answer) {
            Ok(answer) => ScoredAnswer::of(answer == *value, "the answer is another JSON value"),
            Err(refused) => refused,
        },
    }
}

fn contains(answer: &str, expected: Option<&Value>) -> ScoredAnswer {
    let texts: Vec<&str> = match expected {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
        _ => return ScoredAnswer::none("the item expects no text"),
    };
    match texts.into_iter().find(|text| !answer.contains(text)) {
        Some(missing) => ScoredAnswer::none(format!("the answer does not contain `{missing}`")),
        None => ScoredAnswer::full(),
    }
}

fn matches(answer: &str, schema: &Value) -> ScoredAnswer {
    let answer = match json(answer) {
        Ok(answer) => answer,
        Err(refused) => return refused,
    };
    let Ok(schema) = Schema::new(schema) else { return ScoredAnswer::none("the schema cannot be used") };
    match schema.check(&answer) {
        Ok(()) => ScoredAnswer::full(),
        Err(errors) => ScoredAnswer::none(errors),
    }
}

fn at_pointer(answer: &str, expected: Option<&Value>, pointer: &str) -> ScoredAnswer {
    let Some(expected) = expected else { return ScoredAnswer::none("the item expects nothing") };
    let expected = match expected {
        Value::Object(_) | Value::Array(_) => expected.pointer(pointer),
        value => Some(value),
    };
    match json(answer) {
        Ok(answer) => {
            let is_right = expected.is_some() && answer.pointer(pointer) == expected;
            ScoredAnswer::of(is_right, "the answer has another value there")
        }
        Err(refused) => refused,
    }
}

/// Parses an answer that has to be JSON.
fn json(answer: &str) -> Result<Value, ScoredAnswer> {
    serde_json::from_str(answer)
        .map_err(|error| ScoredAnswer::none(format!("the answer is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use sequent_core::AgentId;
    use sequent_event::StepAgent;
    use serde_json::json;

    use super::*;

    fn thousandths(scorer: &Scorer, answer: &str, expected: Option<Value>) -> i64 {
        score(scorer, answer, expected.as_ref()).expect("no agent judges").score.thousandths()
    }

    #[test]
    fn answers_are_compared_as_text_or_as_json() {
        let exact = |answer: &str, expected| thousandths(&Scorer::Exact, answer, expected);
        assert_eq!(exact(" At noon.\n", Some(json!("At noon."))), 1_000);
        assert_eq!(exact("At noon", Some(json!("At noon."))), 0);
        assert_eq!(exact(r#"{ "b": 2, "a": [1] }"#, Some(json!({"a": [1], "b": 2}))), 1_000);
        assert_eq!(exact("{", Some(json!({}))), 0);
        assert_eq!(exact("At noon.", None), 0);
    }

    #[test]
    fn all_expected_texts_must_be_there() {
        let contains = |answer: &str, expected| thousandths(&Scorer::Contains, answer, Some(expected));
        assert_eq!(contains("High tide is at noon.", json!("noon")), 1_000);
        assert_eq!(contains("High tide is at noon.", json!(["noon", "High"])), 1_000);
        assert_eq!(contains("High tide is at noon.", json!(["noon", "low"])), 0);
        assert_eq!(contains("7", json!(7)), 0);
    }

    #[test]
    fn json_is_checked_by_a_schema_and_at_a_pointer() {
        let schema = Scorer::Schema { schema: json!({"type": "object", "required": ["city"]}) };
        assert_eq!(thousandths(&schema, r#"{"city": "Brest"}"#, None), 1_000);
        assert_eq!(thousandths(&schema, r#"{"town": "Brest"}"#, None), 0);
        assert_eq!(thousandths(&schema, "Brest", None), 0);
        let pointer = Scorer::Pointer { pointer: "/a/0".to_owned() };
        assert_eq!(thousandths(&pointer, r#"{"a": [1, 2]}"#, Some(json!({"a": [1]}))), 1_000);
        assert_eq!(thousandths(&pointer, r#"{"a": [1, 2]}"#, Some(json!(1))), 1_000);
        assert_eq!(thousandths(&pointer, r#"{"a": []}"#, Some(json!({"a": []}))), 0, "nothing is no value");
    }

    #[test]
    fn a_judge_is_asked() {
        let agent = StepAgent { id: AgentId::from_bits(1), name: "critic".to_owned(), version: 1 };
        let judge = Scorer::Judge { agent, criteria: "Is it kind?".to_owned() };
        assert_eq!(score(&judge, "Yes.", None), None);
    }
}
