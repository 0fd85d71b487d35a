//! Conditions of statements. An operator or key that is not listed here is refused when the template is read, because a
//! condition that is ignored would allow or deny too much.

use std::collections::BTreeMap;

use serde_json::Value;

use super::pattern;

/// Facts about a request, by the name of the condition key in lower case.
pub(super) type Circumstances = BTreeMap<&'static str, Vec<String>>;

/// The keys that [`super::request`] determines.
pub(super) const LEADING_KEYS: &str = "dynamodb:leadingkeys";
pub(super) const ENCLOSING_OPERATION: &str = "dynamodb:enclosingoperation";
pub(super) const SECURE_TRANSPORT: &str = "aws:securetransport";
pub(super) const IF_NONE_MATCH: &str = "s3:if-none-match";
pub(super) const OBJECT_CREATION: &str = "s3:objectcreationoperation";
pub(super) const PREFIX: &str = "s3:prefix";
pub(super) const FROM_ADDRESS: &str = "ses:fromaddress";
pub(super) const PROFILE: &str = "bedrock:inferenceprofilearn";

const KEYS: [&str; 8] = [
    LEADING_KEYS,
    ENCLOSING_OPERATION,
    SECURE_TRANSPORT,
    IF_NONE_MATCH,
    OBJECT_CREATION,
    PREFIX,
    FROM_ADDRESS,
    PROFILE,
];

/// One operator applied to one key.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    quantifier: Option<Quantifier>,
    operator: Operator,
    if_exists: bool,
    key: String,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    ForAllValues,
    ForAnyValue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    StringEquals,
    StringNotEquals,
    StringLike,
    StringNotLike,
    Bool,
    Null,
}

impl Condition {
    /// Reads `"Operator": {"key": values}` for one key.
    pub(super) fn read(operator: &str, key: &str, values: &Value) -> Result<Self, String> {
        let (quantifier, name) = match operator.split_once(':') {
            Some(("ForAllValues", name)) => (Some(Quantifier::ForAllValues), name),
            Some(("ForAnyValue", name)) => (Some(Quantifier::ForAnyValue), name),
            Some(_) => return Err(format!("the condition operator {operator} is not understood")),
            None => (None, operator),
        };
        let if_exists = name.ends_with("IfExists");
        let operator = match name.trim_end_matches("IfExists") {
            "StringEquals" => Operator::StringEquals,
            "StringNotEquals" => Operator::StringNotEquals,
            "StringLike" => Operator::StringLike,
            "StringNotLike" => Operator::StringNotLike,
            "Bool" => Operator::Bool,
            "Null" => Operator::Null,
            _ => return Err(format!("the condition operator {operator} is not understood")),
        };
        let lower = key.to_lowercase();
        if !KEYS.contains(&&*lower) {
            return Err(format!("the condition key {key} is not understood"));
        }
        let values = texts(values).ok_or_else(|| format!("the values of {key} must be texts"))?;
        Ok(Self { quantifier, operator, if_exists, key: lower, values })
    }

    /// Returns `true` if a request in these circumstances satisfies the condition.
    pub(super) fn holds(&self, circumstances: &Circumstances) -> bool {
        let given = circumstances.get(&*self.key);
        if self.operator == Operator::Null {
            return self.values.iter().any(|value| (value == "true") == given.is_none());
        }
        match (self.quantifier, given) {
            // "ForAllValues" of no values is true: a request without the key is not restricted.
            (Some(Quantifier::ForAllValues), None) => true,
            (Some(Quantifier::ForAnyValue), None) => self.if_exists,
            (None, None) => self.if_exists || self.is_negated(),
            (Some(Quantifier::ForAllValues), Some(given)) => given.iter().all(|value| self.admits(value)),
            (_, Some(given)) => given.iter().any(|value| self.admits(value)),
        }
    }

    /// Returns the partitions to which the condition limits requests, or those of them that a request touches. Returns `None`
    /// if it is no such condition.
    pub(super) fn partitions(&self, request: Option<&Circumstances>) -> Option<Vec<&str>> {
        if self.key != LEADING_KEYS || !matches!(self.operator, Operator::StringEquals | Operator::StringLike)
        {
            return None;
        }
        let touched = request.and_then(|request| request.get(LEADING_KEYS));
        let touches = |value: &&String| {
            touched.is_none_or(|keys| keys.iter().any(|key| *value == key || self.is_like(value, key)))
        };
        Some(self.values.iter().filter(touches).map(String::as_str).collect())
    }

    fn is_like(&self, value: &str, given: &str) -> bool {
        self.operator == Operator::StringLike && pattern::matches(value, given)
    }

    fn is_negated(&self) -> bool {
        matches!(self.operator, Operator::StringNotEquals | Operator::StringNotLike)
    }

    fn admits(&self, given: &str) -> bool {
        let is_like = |value: &String| pattern::matches(value, given);
        match self.operator {
            Operator::StringEquals => self.values.iter().any(|value| value == given),
            Operator::StringNotEquals => self.values.iter().all(|value| value != given),
            Operator::StringLike => self.values.iter().any(is_like),
            Operator::StringNotLike => !self.values.iter().any(is_like),
            Operator::Bool => self.values.iter().any(|value| value.eq_ignore_ascii_case(given)),
            Operator::Null => false,
        }
    }
}

fn texts(values: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    };
    match values {
        Value::Array(values) => values.iter().map(text).collect(),
        value => Some(vec![text(value)?]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(operator: &str, key: &str, values: Value, given: Option<&[&str]>) -> bool {
        let mut circumstances = Circumstances::new();
        if let Some(given) = given {
            let key = KEYS.iter().find(|known| known.eq_ignore_ascii_case(key)).unwrap();
            circumstances.insert(key, given.iter().map(|value| (*value).to_owned()).collect());
        }
        Condition::read(operator, key, &values).unwrap().holds(&circumstances)
    }

    #[test]
    fn every_leading_key_must_be_listed() {
        let key = "dynamodb:LeadingKeys";
        let listed = json!(["warm", "jobs"]);
        let all = "ForAllValues:StringEquals";
        assert!(holds(all, key, listed.clone(), Some(&["warm", "jobs"])));
        assert!(!holds(all, key, listed.clone(), Some(&["warm", "other"])));
        assert!(holds(all, key, listed.clone(), None), "as in IAM: a scan names no key");
        assert!(holds("ForAnyValue:StringEquals", key, listed.clone(), Some(&["warm", "other"])));
        assert!(!holds("ForAnyValue:StringEquals", key, listed.clone(), None));
        assert!(!holds("StringEquals", key, listed, None));
        assert!(holds("ForAllValues:StringLike", key, json!("ten_0#*"), Some(&["ten_0#jobs"])));
        assert!(!holds("ForAllValues:StringLike", key, json!("ten_0#*"), Some(&["ten_1#jobs"])));
    }

    #[test]
    fn the_touched_partitions_are_known() {
        let listed = json!(["warm", "jobs#*"]);
        let condition = Condition::read("ForAllValues:StringLike", "dynamodb:LeadingKeys", &listed).unwrap();
        assert_eq!(condition.partitions(None), Some(vec!["warm", "jobs#*"]));
        let request = Circumstances::from([(LEADING_KEYS, vec!["jobs#7".to_owned()])]);
        assert_eq!(condition.partitions(Some(&request)), Some(vec!["jobs#*"]));
        let other = Condition::read("StringEquals", "s3:prefix", &json!("x")).unwrap();
        assert_eq!(other.partitions(None), None);
    }

    #[test]
    fn a_missing_key_is_null() {
        let key = "s3:if-none-match";
        assert!(holds("Null", key, json!("true"), None));
        assert!(!holds("Null", key, json!("true"), Some(&["*"])));
        assert!(holds("Null", key, json!(false), Some(&["*"])));
        assert!(holds("StringNotEquals", key, json!("x"), None));
        assert!(holds("StringEqualsIfExists", key, json!("x"), None));
    }

    #[test]
    fn flags_are_compared_as_text() {
        assert!(holds("Bool", "aws:SecureTransport", json!("false"), Some(&["false"])));
        assert!(!holds("Bool", "aws:SecureTransport", json!("false"), Some(&["true"])));
        assert!(!holds("Bool", "aws:SecureTransport", json!("false"), None));
    }

    #[test]
    fn anything_else_is_refused() {
        assert!(Condition::read("IpAddress", "aws:SourceIp", &json!("10.0.0.0/8")).is_err());
        assert!(Condition::read("StringEquals", "aws:SourceIp", &json!("10.0.0.0/8")).is_err());
        assert!(Condition::read("Sometimes:StringEquals", "dynamodb:LeadingKeys", &json!("x")).is_err());
        assert!(Condition::read("StringEquals", "dynamodb:LeadingKeys", &json!({"Ref": "X"})).is_err());
    }
}
