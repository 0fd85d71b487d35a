//! Reads `template.yaml`: the functions, their triggers, and the paths of the one origin. This crate knows
//! the application only through this module.
//!
//! Decision 1 (`infra/decisions/0001-one-template-two-places.md`) explains why.

mod distribution;
mod document;
mod resolve;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

pub use distribution::{Behavior, Distribution, Target};
pub use resolve::Scope;

/// Faults of a template.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "plain data")]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read {path}: {source}")]
    Read { path: String, source: std::io::Error },
    /// The text is not YAML.
    #[error("the template is not valid YAML: {0}")]
    Yaml(#[from] serde_yaml_ng::Error),
    /// The YAML is not a template that this crate understands.
    #[error("{0}")]
    Shape(String),
}

/// A parsed template and the parameter values of its deployment.
#[derive(Debug, Clone)]
pub struct Template {
    document: Value,
    scope: Scope,
}

/// `InvokeMode` of a function URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvokeMode {
    /// Sends the whole response at once.
    Buffered,
    /// Sends the response chunk by chunk.
    ResponseStream,
}

/// A resource of type `AWS::Serverless::Function`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its key under `Resources`.
    pub logical_id: String,
    /// Its `FunctionName`, if declared.
    pub name: Option<String>,
    /// File name of the executable.
    pub binary: String,
    /// Seconds after which an invocation is killed.
    pub timeout_s: u64,
    /// `MemorySize` in MB. It is passed to the function but not enforced here.
    pub memory_mb: u64,
    /// Most instances at once, if reserved.
    pub reserved_concurrency: Option<usize>,
    /// The mode of its function URL, if it has one.
    pub url: Option<InvokeMode>,
    /// Event sources that invoke the function.
    pub sources: Vec<Source>,
}

/// An event source of a function. The emulator reads queues, streams and schedules from the deployed stack
/// and delivers their events, so this crate only needs to know more of schedules, to scale them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A route of the HTTP API.
    HttpApi {
        /// Upper-case method, or `ANY`.
        method: String,
        /// Path with `{name}` and `{name+}` variables, or `$default`.
        path: String,
    },
    /// A schedule at a fixed rate.
    Schedule {
        /// Time between two invocations.
        every: Duration,
        /// The event, if the schedule declares it.
        input: Option<String>,
    },
    /// Any other event type, by its SAM name.
    Other(String),
}

impl Template {
    /// Reads a template file. `parameters` override its defaults.
    pub fn read(path: &Path, parameters: &BTreeMap<String, String>) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Read { path: path.display().to_string(), source })?;
        Self::parse(&text, parameters)
    }

    /// Parses a template. `parameters` override its defaults.
    pub fn parse(text: &str, parameters: &BTreeMap<String, String>) -> Result<Self, Error> {
        let document = document::from_yaml(text)?;
        if !document["Resources"].is_object() {
            return Err(Error::Shape("the template has no `Resources`".to_owned()));
        }
        let scope = Scope::new(&document, parameters);
        Ok(Self { document, scope })
    }

    /// Returns the whole document, with short tags in their long form.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Replaces everything in a value that depends only on parameters.
    pub fn resolve(&self, value: &Value) -> Value {
        self.scope.resolve(value)
    }

    /// Returns the names of the declared parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.document["Parameters"].as_object().into_iter().flatten().map(|(name, _)| name.as_str())
    }

    /// Returns all functions whose condition is true, in the order of their ids.
    pub fn functions(&self) -> Result<Vec<Function>, Error> {
        self.resources_of("AWS::Serverless::Function")
            .map(|(id, resource)| self.function(id, resource))
            .collect()
    }

    /// Returns the routing table of the one origin.
    pub fn distribution(&self) -> Distribution {
        distribution::read(&self.document, &self.scope)
    }

    /// Returns the resources of a type whose condition is true, in the order of their ids.
    pub fn resources_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.document["Resources"].as_object().into_iter().flatten().filter_map(move |(id, resource)| {
            (resource["Type"] == kind && self.scope.exists(resource)).then_some((id.as_str(), resource))
        })
    }

    fn function(&self, id: &str, resource: &Value) -> Result<Function, Error> {
        let globals = &self.document["Globals"]["Function"];
        let property = |name: &str| {
            let own = self.scope.resolve(&resource["Properties"][name]);
            if own.is_null() { self.scope.resolve(&globals[name]) } else { own }
        };
        let number = |name: &str, default: u64| match property(name) {
            Value::Null => Ok(default),
            value => as_number(&value)
                .ok_or_else(|| Error::Shape(format!("{id}: {name} must be a number, found {value}"))),
        };
        let reserved = match property("ReservedConcurrentExecutions") {
            Value::Null => None,
            _ => Some(number("ReservedConcurrentExecutions", 0)?),
        };
        let url = property("FunctionUrlConfig");
        Ok(Function {
            logical_id: id.to_owned(),
            name: property("FunctionName").as_str().map(str::to_owned),
            binary: binary_name(id, resource),
            // The defaults are Lambda's.
            timeout_s: number("Timeout", 3)?,
            memory_mb: number("MemorySize", 128)?,
            reserved_concurrency: reserved.and_then(|n| usize::try_from(n).ok()),
            url: url.is_object().then(|| match url["InvokeMode"].as_str() {
                Some("RESPONSE_STREAM") => InvokeMode::ResponseStream,
                _ => InvokeMode::Buffered,
            }),
            sources: property("Events")
                .as_object()
                .into_iter()
                .flatten()
                .map(|(_, event)| source(event))
                .collect(),
        })
    }
}

fn source(event: &Value) -> Source {
    let kind = event["Type"].as_str().unwrap_or_default();
    let properties = &event["Properties"];
    if kind == "Schedule"
        && let Some(every) = properties["Schedule"].as_str().and_then(rate)
    {
        return Source::Schedule { every, input: properties["Input"].as_str().map(str::to_owned) };
    }
    if kind != "HttpApi" {
        return Source::Other(kind.to_owned());
    }
    // In SAM, an HttpApi event without a path is the API's $default route.
    let path = properties["Path"].as_str().unwrap_or("$default").to_owned();
    let method = properties["Method"].as_str().unwrap_or("ANY").to_uppercase();
    Source::HttpApi {
        method: if method == "X-AMAZON-APIGATEWAY-ANY-METHOD" { "ANY".to_owned() } else { method },
        path,
    }
}

/// Parses `rate(5 minutes)`. Returns `None` for any other expression.
fn rate(expression: &str) -> Option<Duration> {
    let (number, unit) = expression.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let seconds = match unit.trim_end_matches('s') {
        "minute" => 60,
        "hour" => 3600,
        "day" => 24 * 3600,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()? * seconds))
}

/// Returns the name of the executable that `sam build` with cargo-lambda would put into the function's
/// package: the binary of the build properties, else the one named after the function's folder, else after
/// its logical id.
fn binary_name(id: &str, resource: &Value) -> String {
    if let Some(name) = resource["Metadata"]["BuildProperties"]["Binary"].as_str() {
        return name.to_owned();
    }
    let folder = resource["Properties"]["CodeUri"]
        .as_str()
        .and_then(|uri| {
            uri.trim_end_matches('/').strip_prefix("functions/").or_else(|| uri.strip_prefix("./functions/"))
        })
        .map(|rest| rest.trim_end_matches('/').to_owned());
    let noun = folder.unwrap_or_else(|| kebab(id.strip_suffix("Function").unwrap_or(id)));
    format!("sequent-{noun}-function")
}

fn kebab(pascal: &str) -> String {
    let mut out = String::with_capacity(pascal.len() + 4);
    for (at, c) in pascal.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn as_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
