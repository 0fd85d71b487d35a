//! Parameters of model calls that a caller may choose.
//!
//! Each protocol has its own subset. A parameter that a protocol lacks is left out, and so is one that the server refuses.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// The parameters of a run's model calls. Everything is optional, with the model's default. A parameter that the model does
/// not have, or whose value its server refuses, is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelParameters {
    /// Randomness. Models of Anthropic have none above 1, and none while they reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>, minimum = 0, maximum = 2, example = 0.2))]
    pub temperature: Option<Fraction<2>>,
    /// The part of the likeliest tokens that the model chooses from. Not sent to models of Anthropic beside a temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>, minimum = 0, maximum = 1, example = 0.9))]
    pub top_p: Option<Fraction<1>>,
    /// The tokens of each response of the model, reasoning included. A response that reaches the limit ends the run with the
    /// error `model_length`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1, example = 2048))]
    pub max_output_tokens: Option<NonZeroU32>,
    /// Texts at which the model stops: at most 4, of 1 to 100 characters each.
    #[serde(skip_serializing_if = "StopTexts::is_empty")]
    #[cfg_attr(feature = "openapi", schema(schema_with = StopTexts::schema))]
    pub stop: StopTexts,
    /// The amount of reasoning. Models of Anthropic and Nova 2 reason only if it is given and not `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<ReasoningEffort>,
    /// A number with which equal requests are answered alike, as far as the server can. Models of Anthropic have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, maximum = 4_294_967_295_u64, example = 7))]
    pub seed: Option<u32>,
}

impl ModelParameters {
    /// Returns `true` if the caller has chosen nothing.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns these parameters, with those of `others` where these have none.
    #[must_use]
    pub fn or(self, others: &Self) -> Self {
        Self {
            temperature: self.temperature.or(others.temperature),
            top_p: self.top_p.or(others.top_p),
            max_output_tokens: self.max_output_tokens.or(others.max_output_tokens),
            stop: if self.stop.is_empty() { others.stop.clone() } else { self.stop },
            reasoning_effort: self.reasoning_effort.or(others.reasoning_effort),
            seed: self.seed.or(others.seed),
        }
    }
}

/// A number from 0 to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Fraction<const MAX: u8>(f64);

// It is never NaN.
impl<const MAX: u8> Eq for Fraction<MAX> {}

impl<const MAX: u8> TryFrom<f64> for Fraction<MAX> {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        let is_in_range = (0.0..=f64::from(MAX)).contains(&number);
        is_in_range.then_some(Self(number)).ok_or_else(|| format!("must be a number from 0 to {MAX}"))
    }
}

impl<const MAX: u8> From<Fraction<MAX>> for f64 {
    fn from(fraction: Fraction<MAX>) -> Self {
        fraction.0
    }
}

/// Texts at which a model stops.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct StopTexts(Vec<String>);

impl StopTexts {
    const MAX: usize = 4;
    const MAX_CHARS: usize = 100;

    #[cfg(feature = "openapi")]
    fn schema() -> utoipa::openapi::schema::Array {
        use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};

        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(Self::MAX_CHARS));
        let description = "Texts at which the model stops.";
        ArrayBuilder::new()
            .items(text)
            .max_items(Some(Self::MAX))
            .description(Some(description))
            .examples([serde_json::json!(["END"])])
            .build()
    }

    /// Returns `true` if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the texts, as the caller ordered them.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for StopTexts {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        let fits = |text: &String| (1..=Self::MAX_CHARS).contains(&text.chars().count());
        if texts.len() > Self::MAX || !texts.iter().all(fits) {
            return Err(format!(
                "must be at most {} texts of 1 to {} characters",
                Self::MAX,
                Self::MAX_CHARS
            ));
        }
        Ok(Self(texts))
    }
}

impl From<StopTexts> for Vec<String> {
    fn from(texts: StopTexts) -> Self {
        texts.0
    }
}

/// The amount of reasoning before an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "an order")]
pub enum ReasoningEffort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
}

impl ReasoningEffort {
    const ALL: [Self; 6] = [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::Xhigh];

    /// Returns the effort with this stable name, or `None` if there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.as_str() == name)
    }

    /// Returns the stable name, as serialized.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Result<ModelParameters, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn parameters_are_checked_and_only_chosen_ones_are_written() {
        let json = r#"{"temperature":0.25,"top_p":1.0,"max_output_tokens":9,"stop":["END"],"reasoning_effort":"low","seed":7}"#;
        assert_eq!(serde_json::to_string(&parsed(json).unwrap()).unwrap(), json);
        assert_eq!(serde_json::to_string(&parsed("{}").unwrap()).unwrap(), "{}");
        for (json, problem) in [
            (r#"{"temperature":2.01}"#, "from 0 to 2"),
            (r#"{"temperature":-0.1}"#, "from 0 to 2"),
            (r#"{"temperature":"hot"}"#, "invalid type"),
            (r#"{"top_p":1.5}"#, "from 0 to 1"),
            (r#"{"max_output_tokens":0}"#, "nonzero"),
            (r#"{"stop":["a","b","c","d","e"]}"#, "at most 4"),
            (r#"{"stop":[""]}"#, "1 to 100"),
            (r#"{"reasoning_effort":"huge"}"#, "unknown variant"),
            (r#"{"seed":-1}"#, "invalid value"),
            (r#"{"top_k":5}"#, "unknown field"),
        ] {
            let error = parsed(json).unwrap_err();
            assert!(error.contains(problem), "{json}: {error}");
        }
    }
}
