//! The variables that every template has: who is asking, where and when.

use sequent_core::Timestamp;
use serde_json::{Map, Value};

/// Bytes of a value at most. A longer one is cut.
const MAX_BYTES: usize = 200;

/// The standard variables `user_name`, `locale`, `time_zone` and `date`. Those that are not known have no value. There is no
/// time of day: it would change the beginning of every request, and providers keep the work for equal beginnings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct Surroundings {
    pub user_name: Option<String>,
    /// A language tag such as `de-AT`.
    pub locale: Option<String>,
    /// A name such as `Europe/Vienna`.
    pub time_zone: Option<String>,
    /// The day in the form `2026-11-30`.
    pub date: Option<String>,
}

impl Surroundings {
    /// The names of the variables.
    pub(crate) const NAMES: [&str; 4] = ["user_name", "locale", "time_zone", "date"];

    /// Surroundings of which only the day is known, in UTC.
    #[must_use]
    pub fn on(now: Timestamp) -> Self {
        let date = now.to_string().split_once('T').map(|(date, _)| date.to_owned());
        Self { date, ..Self::default() }
    }

    /// Returns the values of the variables. They have no control characters and no line breaks.
    pub(crate) fn variables(&self) -> Map<String, Value> {
        let values = [&self.user_name, &self.locale, &self.time_zone, &self.date];
        let named = Self::NAMES.into_iter().zip(values);
        named.map(|(name, value)| (name.to_owned(), value.as_deref().map_or(Value::Null, one_line))).collect()
    }
}

/// Returns a text without control characters, cut to 200 bytes.
pub(crate) fn one_line(text: &str) -> Value {
    let mut line: String =
        text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    line.truncate(line.floor_char_boundary(MAX_BYTES));
    Value::String(line)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_with_line_breaks_stays_on_its_line() {
        let on = Surroundings::on(Timestamp::from_millis(1_700_000_000_123));
        let surroundings = Surroundings { user_name: Some(format!("Ada\n{}", "é".repeat(200))), ..on };
        let variables = surroundings.variables();
        assert_eq!(variables["date"], "2023-11-14");
        assert_eq!(variables["locale"], json!(null));
        let name = variables["user_name"].as_str().unwrap();
        assert!(name.starts_with("Ada é") && name.len() == MAX_BYTES, "{name}");
    }
}
