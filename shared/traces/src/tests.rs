//! Traces of written and of generated logs, and their way to a collector.

mod collector;
mod form;
mod generated;
mod golden;

use sequent_core::{RunId, TenantId};
use sequent_runlog::LogKey;

use crate::{AttributeValue, RunTrace, Span};

fn key() -> LogKey {
    LogKey { tenant: TenantId::from_bits(2), run: RunId::from_bits(1) }
}

/// The value of an attribute as text.
fn value(span: &Span, key: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
    Some(shown(&attribute.value))
}

fn shown(value: &AttributeValue) -> String {
    match value {
        AttributeValue::StringValue(text) => text.clone(),
        AttributeValue::IntValue(number) => number.to_string(),
        AttributeValue::DoubleValue(number) => number.to_string(),
        AttributeValue::BoolValue(flag) => flag.to_string(),
        AttributeValue::ArrayValue { values } => values.iter().map(shown).collect::<Vec<_>>().join(", "),
    }
}

fn span<'a>(trace: &'a RunTrace, name: &str) -> &'a Span {
    trace.spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} in {trace:#?}"))
}
