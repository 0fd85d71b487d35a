//! Settings in the environment of a process.
//!
//! There is one policy for a bad setting: the process refuses to start, and the error names the variable, its value and
//! the allowed values. An empty variable counts as not set, because a deployment template cannot leave a variable out.

use std::str::FromStr;

/// A setting with which the process cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the fields")]
pub enum InvalidSetting {
    /// A required variable is not set.
    #[error("the environment variable {variable} is not set")]
    Missing { variable: String },
    /// The value is not allowed.
    #[error("the environment variable {variable} is `{value}`, but must be {allowed}")]
    NotAllowed { variable: String, value: String, allowed: String },
}

impl InvalidSetting {
    /// The error for a value that is not allowed. `allowed` completes the sentence "must be ...".
    #[must_use]
    pub fn new(variable: &str, value: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self::NotAllowed { variable: variable.to_owned(), value: value.into(), allowed: allowed.into() }
    }
}

/// Reads a variable. Returns `None` if it is not set.
#[must_use]
pub fn text(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|text| !text.trim().is_empty())
}

/// Reads a variable that must be set.
///
/// # Errors
/// [`InvalidSetting::Missing`].
pub fn required(variable: &str) -> Result<String, InvalidSetting> {
    text(variable).ok_or_else(|| InvalidSetting::Missing { variable: variable.to_owned() })
}

/// Parses the value of a variable. `allowed` describes the allowed values: "a number of milliseconds".
///
/// # Errors
/// [`InvalidSetting::NotAllowed`].
pub fn parse<T: FromStr>(variable: &str, value: &str, allowed: &str) -> Result<T, InvalidSetting> {
    value.trim().parse().map_err(|_| InvalidSetting::new(variable, value, allowed))
}

/// Reads and parses a variable. Returns `None` if it is not set.
///
/// # Errors
/// [`InvalidSetting::NotAllowed`].
pub fn parsed<T: FromStr>(variable: &str, allowed: &str) -> Result<Option<T>, InvalidSetting> {
    text(variable).map(|value| parse(variable, &value, allowed)).transpose()
}

/// Returns `true` if `LOCAL`, of which this is the text, says that the process belongs to the one-machine stack. The
/// template sets it. Without it, a process is as strict as on AWS.
///
/// # Errors
/// [`InvalidSetting::NotAllowed`].
pub fn is_local(text: Option<&str>) -> Result<bool, InvalidSetting> {
    text.map_or(Ok(false), |text| parse("LOCAL", text, "true or false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_strict_unless_it_is_local() {
        assert_eq!(
            (is_local(None), is_local(Some("false")), is_local(Some("true"))),
            (Ok(false), Ok(false), Ok(true))
        );
        assert!(is_local(Some("yes")).is_err());
    }

    #[test]
    fn an_error_names_the_variable_the_value_and_the_allowed_values() {
        let error = parse::<u32>("LEASE_MS", "ten", "a number of milliseconds").unwrap_err();
        let expected = "the environment variable LEASE_MS is `ten`, but must be a number of milliseconds";
        assert_eq!(error.to_string(), expected);
        assert_eq!(parse("LEASE_MS", " 10 ", "a number of milliseconds"), Ok(10_u32));
        let error = required("SEQUENT_IS_NOT_SET").unwrap_err();
        assert_eq!(error.to_string(), "the environment variable SEQUENT_IS_NOT_SET is not set");
    }
}
