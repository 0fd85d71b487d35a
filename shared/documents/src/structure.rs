//! The check of a document against its schema, with messages for a model.

use std::sync::LazyLock;

use boon::{Compiler, ErrorKind, SchemaIndex, Schemas, ValidationError};
use serde_json::Value;

use crate::{DocumentKind, InvalidDocument, Problem, schema};

struct Compiled {
    schemas: Schemas,
    index: SchemaIndex,
}

static REPORT: LazyLock<Compiled> = LazyLock::new(|| compile(DocumentKind::Report));
static SLIDES: LazyLock<Compiled> = LazyLock::new(|| compile(DocumentKind::Slides));
static WEBSITE: LazyLock<Compiled> = LazyLock::new(|| compile(DocumentKind::Website));

fn compile(kind: DocumentKind) -> Compiled {
    let location = format!("https://schema.invalid/{kind}");
    let mut compiler = Compiler::new();
    compiler.enable_format_assertions();
    let mut schemas = Schemas::new();
    compiler.add_resource(&location, schema::of(kind)).expect("the location is an absolute address");
    let index =
        compiler.compile(&location, &mut schemas).expect("the schemas are constants, and tests compile each");
    Compiled { schemas, index }
}

/// Returns an error unless `value` matches the schema of `kind`.
pub(crate) fn check(kind: DocumentKind, value: &Value) -> Result<(), InvalidDocument> {
    let compiled = match kind {
        DocumentKind::Report => &*REPORT,
        DocumentKind::Slides => &*SLIDES,
        DocumentKind::Website => &*WEBSITE,
    };
    let Err(error) = compiled.schemas.validate(value, compiled.index) else { return Ok(()) };
    let mut problems = Vec::new();
    collect(&error, &mut problems);
    // Otherwise the order would be that of maps, which depends on the features of serde_json that other
    // crates enable.
    problems.sort_by(|a, b| a.pointer.cmp(&b.pointer));
    problems.dedup();
    InvalidDocument::unless_empty(problems)
}

/// Collects the leaves of the tree of errors. The inner nodes only report that a node below failed.
fn collect(error: &ValidationError<'_, '_>, problems: &mut Vec<Problem>) {
    if matches!(error.kind, ErrorKind::AnyOf) {
        return alternatives(error, problems);
    }
    if matches!(error.kind, ErrorKind::OneOf(_)) {
        // Only the files of a website have such a choice.
        let message = "the file must have exactly one of `content` and `base64`".to_owned();
        return problems.push(Problem { pointer: error.instance_location.to_string(), message });
    }
    if !error.causes.is_empty() {
        return error.causes.iter().for_each(|cause| collect(cause, problems));
    }
    let message = match &error.kind {
        ErrorKind::AdditionalProperties { got } => {
            format!("remove the unknown properties {}", quoted(got))
        }
        ErrorKind::Required { want } => format!("add the missing properties {}", quoted(want)),
        ErrorKind::Pattern { want, .. } => format!("the value must match the pattern {want}"),
        kind => kind.to_string(),
    };
    problems.push(Problem { pointer: error.instance_location.to_string(), message });
}

/// Collects the errors of one alternative only: the one with the same `type`.
fn alternatives(error: &ValidationError<'_, '_>, problems: &mut Vec<Problem>) {
    let pointer = error.instance_location.to_string();
    let tag = format!("{pointer}/type");
    let of_another_type = |branch: &&ValidationError<'_, '_>| {
        let mut found = Vec::new();
        collect(branch, &mut found);
        found.iter().any(|problem| problem.pointer == tag || problem.message.contains("`type`"))
    };
    match error.causes.iter().find(|branch| !of_another_type(branch)) {
        Some(branch) => collect(branch, problems),
        None => problems.push(Problem {
            pointer: tag,
            message: format!("the type must be one of {}", quoted(&schema::BLOCK_TYPES)),
        }),
    }
}

fn quoted(names: &[impl AsRef<str>]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    names.join(", ")
}
