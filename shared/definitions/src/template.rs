//! Templates: checked when a version is created, rendered when a run is.
//!
//! The language is Jinja as `minijinja` has it, with the parts that [`outline`] allows. There is no loader: a template can
//! include the prompts that it is given, and nothing else.

mod outline;

use std::io;

use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, escape_formatter};
use serde_json::{Map, Value as Json};

pub(crate) use outline::Outline;

/// Bytes of rendered instructions at most.
pub const MAX_RENDERED_BYTES: usize = 64_000;
/// Steps of the engine at most. The longest instructions need some ten thousand, without what they include.
const FUEL: u64 = 200_000;
/// Name of the instructions in the engine. No prompt can have it.
const MAIN: &str = "instructions of the agent";

/// The reason why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// The line, from 1, if it is known.
    pub(crate) line: Option<u32>,
    pub(crate) detail: String,
}

impl Flaw {
    fn at(line: u32, detail: impl Into<String>) -> Self {
        Self { line: Some(line), detail: detail.into() }
    }
}

impl From<Error> for Flaw {
    fn from(outer: Error) -> Self {
        let error = innermost(&outer);
        let line = error.line().and_then(|line| u32::try_from(line).ok());
        let detail = match error.kind() {
            ErrorKind::WriteFailure => format!("renders to more than {MAX_RENDERED_BYTES} bytes"),
            ErrorKind::OutOfFuel => "takes too many steps to render".to_owned(),
            kind => error.detail().map_or_else(|| kind.to_string(), |detail| format!("{kind}: {detail}")),
        };
        Self { line, detail }
    }
}

/// Returns the error inside a prompt instead of the one of its include.
fn innermost(error: &Error) -> &Error {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    cause.map_or(error, innermost)
}

/// Checks that a template is well-formed and uses the allowed parts of the language. Returns the names that it uses.
pub(crate) fn parse(source: &str) -> Result<Outline, Flaw> {
    // Before the parser, which recurses into expressions and conditions.
    let outline = Outline::of(source)?;
    Environment::empty().add_template(MAIN, source)?;
    Ok(outline)
}

/// Renders instructions, which may include the prompts by their names, with the values of variables.
pub(crate) fn render<'a>(
    instructions: &'a str,
    prompts: impl IntoIterator<Item = (&'a str, &'a str)>,
    variables: &Map<String, Json>,
) -> Result<String, Flaw> {
    let mut engine = engine();
    for (name, text) in prompts {
        engine.add_template(name, text)?;
    }
    engine.add_template(MAIN, instructions)?;
    let values = Value::from_pairs(variables.iter().map(|(name, value)| (name.as_str(), to_value(value))));
    let mut output = Bounded(Vec::new());
    engine.get_template(MAIN)?.render_captured_to(values, &mut output)?;
    Ok(String::from_utf8_lossy(&output.0).into_owned())
}

fn engine<'a>() -> Environment<'a> {
    let mut engine = Environment::empty();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_fuel(Some(FUEL));
    engine.set_formatter(format);
    engine.add_filter("upper", |value: &Value| of_text(value, str::to_uppercase));
    engine.add_filter("lower", |value: &Value| of_text(value, str::to_lowercase));
    engine.add_filter("trim", |value: &Value| of_text(value, |text| text.trim().to_owned()));
    engine
}

/// Changes a text, and leaves any other value.
fn of_text(value: &Value, change: impl FnOnce(&str) -> String) -> Value {
    value.as_str().map_or_else(|| value.clone(), |text| Value::from(change(text)))
}

/// Writes a value as prompts contain it: nothing for no value, and `true` as in JSON.
fn format(output: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let shown = match bool::try_from(value.clone()) {
        Ok(is_true) => Value::from(if is_true { "true" } else { "false" }),
        Err(_) if value.is_none() => Value::from(""),
        Err(_) => value.clone(),
    };
    escape_formatter(output, state, &shown)
}

fn to_value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::from(number.as_f64().unwrap_or_default()), Value::from)
        }
        Json::String(text) => Value::from(text.as_str()),
        // No variable has such a type.
        Json::Array(_) | Json::Object(_) => Value::from(json.to_string()),
    }
}

/// An output of limited length.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_RENDERED_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
