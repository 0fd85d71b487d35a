//! The tools of a request with the schemas that its server takes.

use serde_json::Value;

use super::{Omitted, Parameter};
use crate::{
    Request, ToolSpec,
    tool_schema::{Dialect, offered},
};

/// Returns the tools that a model is offered. A tool without a schema that servers take, or that the server has refused, is
/// left out, so that the others can be used.
pub(super) fn tools<'a>(
    request: &'a Request,
    omitted: &'a Omitted,
    dialect: Dialect,
) -> impl Iterator<Item = (&'a ToolSpec, Value)> {
    let left = request.tools.iter().filter(|spec| !omitted.has_refused_tool(&spec.name));
    left.filter_map(move |spec| match offered(&spec.parameters, dialect) {
        Ok(schema) => Some((spec, schema)),
        Err(reason) => {
            tracing::warn!(tool = spec.name, %reason, "no model can be offered the tool; leaving it out");
            None
        }
    })
}

impl Dialect {
    /// The dialect for a server that has refused what is omitted.
    pub(super) fn of(omitted: &Omitted) -> Self {
        if omitted.has(Parameter::ToolSchemas) { Self::Plain } else { Self::Common }
    }
}

/// Returns the tool that a refusal names, by its name or by its place in the request.
pub(crate) fn refused_tool(refusal: &str, request: &Request, omitted: &Omitted) -> Option<String> {
    let sent: Vec<&str> =
        tools(request, omitted, Dialect::of(omitted)).map(|(spec, _)| spec.name.as_str()).collect();
    let is_named = |name: &&&str| {
        let is_quoted = |mark: char| refusal.contains(&format!("{mark}{name}{mark}"));
        is_quoted('\'') || is_quoted('"') || is_quoted('`') || refusal.starts_with(&format!("{name}: "))
    };
    let named = sent.iter().filter(is_named).max_by_key(|name| name.len());
    named.or_else(|| sent.get(place_in(refusal)?)).map(|name| (*name).to_owned())
}

/// Returns 26 for `toolConfig.tools.26.toolSpec.inputSchema`, and 22 for `tools[0].function_declarations[22]`.
fn place_in(refusal: &str) -> Option<usize> {
    let number_after = |mark: &str| {
        let (_, rest) = refusal.split_once(mark)?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse().ok()
    };
    ["function_declarations[", "tools.", "tools["].into_iter().find_map(number_after)
}
