//! PDF files, typeset by typst.
//!
//! The templates are fixed files. They receive a document as JSON and its charts as SVG, so nothing that a
//! model or a person wrote is interpreted as typst markup. The limits of documents bound time and memory. The
//! compiler has no timeout, so a caller with a deadline has to enforce it from outside.

mod fonts;
mod inspect;
mod view;
mod world;

use std::panic::resume_unwind;
use std::thread;

use sequent_documents::{Report, Slides};
use serde_json::Value;
use typst::diag::SourceDiagnostic;
use typst_layout::PagedDocument;
use typst_pdf::PdfOptions;

use crate::{Error, Exported};
use world::DocumentWorld;

const TEMPLATES: [(&str, &str); 3] = [
    ("blocks.typ", include_str!("pdf/blocks.typ")),
    ("report.typ", include_str!("pdf/report.typ")),
    ("slides.typ", include_str!("pdf/slides.typ")),
];

/// Stack size of the compiler's thread. Layout recurses with the nesting of a page, and the caller's thread
/// may have little stack left.
const STACK: usize = 32 << 20;

pub(crate) fn report(report: &Report) -> Result<Exported, Error> {
    typeset("report.typ", view::report(report)?)
}

pub(crate) fn slides(slides: &Slides) -> Result<Exported, Error> {
    typeset("slides.typ", view::slides(slides)?)
}

/// The world in which the template `main` shows a document.
fn world_of(main: &str, data: &Value, charts: Vec<String>) -> Result<DocumentWorld, Error> {
    let data = serde_json::to_vec(data).map_err(|error| Error::Renderer(error.to_string()))?;
    let charts = charts.into_iter().enumerate().map(|(at, svg)| (view::chart_path(at), svg.into_bytes()));
    let files = std::iter::once(("data.json".to_owned(), data)).chain(charts).collect();
    Ok(DocumentWorld::new(main, &TEMPLATES, files))
}

fn typeset(main: &str, view: view::View) -> Result<Exported, Error> {
    let world = world_of(main, &view.data, view.charts)?;
    thread::scope(|scope| {
        let worker =
            thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || compile(&world, &view.data));
        let worker = worker.map_err(|error| Error::Renderer(error.to_string()))?;
        worker.join().unwrap_or_else(|panic| match panic.downcast::<&'static str>() {
            Ok(message) => Err(Error::Renderer(format!("panicked: {message}"))),
            Err(panic) => match panic.downcast::<String>() {
                Ok(message) => Err(Error::Renderer(format!("panicked: {message}"))),
                Err(panic) => resume_unwind(panic),
            },
        })
    })
}

fn compile(world: &DocumentWorld, data: &Value) -> Result<Exported, Error> {
    let compiled = typst::compile::<PagedDocument>(world).output;
    let exported = compiled.and_then(|document| {
        let bytes = typst_pdf::pdf(&document, &PdfOptions::default())?;
        Ok(Exported { bytes, warnings: inspect::warnings(&document, data) })
    });
    // Otherwise typst's cache would grow with every document.
    comemo::evict(0);
    exported.map_err(|errors| Error::Renderer(first(&errors)))
}

fn first(errors: &[SourceDiagnostic]) -> String {
    errors.first().map(|error| error.message.to_string()).unwrap_or_default()
}
