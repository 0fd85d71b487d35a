//! Conditions under which a write takes place.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use crate::{
    expression::Placeholders,
    value::{Path, encode},
};

/// A condition on the row as it is stored, tested by DynamoDB in the same step as the write.
///
/// ```
/// use sequent_tables::{attribute, exists};
///
/// let is_free = exists()
///     .and(attribute("deleting").is_absent())
///     .and(attribute("live_run_id").is_none());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Condition(Test);

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Present(Path),
    Absent(Path),
    Compare(Path, Comparison, AttributeValue),
    SizeBelow(Path, AttributeValue),
    OneOf(Path, Vec<AttributeValue>),
    All(Vec<Test>),
    Any(Vec<Test>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Different,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// One attribute in a condition. Made by [`attribute`].
///
/// A comparison with an attribute that the row does not have is false, except [`differs_from`](Self::differs_from).
#[derive(Debug, Clone)]
#[must_use = "an attribute alone is not a condition"]
pub struct Attribute(Path);

/// Requires that the row exists.
#[must_use]
pub fn exists() -> Condition {
    attribute("pk").is_present()
}

/// Requires that no row has the key.
#[must_use]
pub fn absent() -> Condition {
    attribute("pk").is_absent()
}

/// Begins a condition on one attribute: `attribute("status")`, or `attribute(["effect", "owner"])` inside a map.
pub fn attribute(path: impl Into<Path>) -> Attribute {
    Attribute(path.into())
}

impl Attribute {
    /// Requires that the row has the attribute, even as NULL.
    #[must_use]
    pub fn is_present(self) -> Condition {
        Condition(Test::Present(self.0))
    }

    /// Requires that the row does not have the attribute.
    #[must_use]
    pub fn is_absent(self) -> Condition {
        Condition(Test::Absent(self.0))
    }

    /// Requires that the attribute is missing or NULL, the two forms in which a `None` is stored.
    #[must_use]
    pub fn is_none(self) -> Condition {
        let absent = Test::Absent(self.0.clone());
        Condition(Test::Any(vec![
            absent,
            Test::Compare(self.0, Comparison::Equal, AttributeValue::Null(true)),
        ]))
    }

    /// Requires that the attribute has this value.
    #[must_use]
    pub fn equals(self, value: impl Serialize) -> Condition {
        self.compare(Comparison::Equal, value)
    }

    /// Requires another value, or none.
    #[must_use]
    pub fn differs_from(self, value: impl Serialize) -> Condition {
        self.compare(Comparison::Different, value)
    }

    /// Requires a value below `value`.
    #[must_use]
    pub fn is_below(self, value: impl Serialize) -> Condition {
        self.compare(Comparison::Less, value)
    }

    /// Requires `value` or less.
    #[must_use]
    pub fn is_at_most(self, value: impl Serialize) -> Condition {
        self.compare(Comparison::AtMost, value)
    }

    /// Requires a value above `value`.
    #[must_use]
    pub fn is_above(self, value: impl Serialize) -> Condition {
        self.compare(Comparison::Greater, value)
    }

    /// Requires `value` or more.
    #[must_use]
    pub fn is_at_least(self, value: impl Serialize) -> Condition {
        self.compare(Comparison::AtLeast, value)
    }

    /// Requires one of up to 100 values.
    #[must_use]
    pub fn is_one_of<T: Serialize>(self, values: impl IntoIterator<Item = T>) -> Condition {
        Condition(Test::OneOf(self.0, values.into_iter().map(encode).collect()))
    }

    /// Requires fewer than `count` elements of a map, list or set, or bytes of a text.
    #[must_use]
    pub fn has_fewer_than(self, count: u32) -> Condition {
        Condition(Test::SizeBelow(self.0, encode(count)))
    }

    fn compare(self, comparison: Comparison, value: impl Serialize) -> Condition {
        Condition(Test::Compare(self.0, comparison, encode(value)))
    }
}

impl Condition {
    /// Requires this condition and the other.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self.0 {
            Test::All(mut all) => {
                all.push(other.0);
                Self(Test::All(all))
            }
            first => Self(Test::All(vec![first, other.0])),
        }
    }

    /// Requires at least one of the two conditions.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match self.0 {
            Test::Any(mut any) => {
                any.push(other.0);
                Self(Test::Any(any))
            }
            first => Self(Test::Any(vec![first, other.0])),
        }
    }

    /// Writes the condition as a `ConditionExpression`.
    pub(crate) fn expression(&self, placeholders: &mut Placeholders) -> String {
        self.0.expression(placeholders)
    }
}

impl Test {
    fn expression(&self, placeholders: &mut Placeholders) -> String {
        match self {
            Self::Present(path) => format!("attribute_exists({})", placeholders.path(path)),
            Self::Absent(path) => format!("attribute_not_exists({})", placeholders.path(path)),
            Self::Compare(path, comparison, value) => {
                format!("{} {} {}", placeholders.path(path), comparison.operator(), placeholders.value(value))
            }
            Self::SizeBelow(path, count) => {
                format!("size({}) < {}", placeholders.path(path), placeholders.value(count))
            }
            Self::OneOf(path, values) => {
                let path = placeholders.path(path);
                let values: Vec<String> = values.iter().map(|value| placeholders.value(value)).collect();
                format!("{path} IN ({})", values.join(", "))
            }
            Self::All(tests) => Self::joined(tests, " AND ", placeholders),
            Self::Any(tests) => Self::joined(tests, " OR ", placeholders),
        }
    }

    fn joined(tests: &[Self], separator: &str, placeholders: &mut Placeholders) -> String {
        let tests: Vec<String> =
            tests.iter().map(|test| format!("({})", test.expression(placeholders))).collect();
        tests.join(separator)
    }
}

impl Comparison {
    const fn operator(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Different => "<>",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }
}
