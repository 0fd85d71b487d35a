//! PDF, by typst.
//!
//! The templates are fixed files. A document reaches them as JSON and charts as SVG: nothing that a model or a person
//! wrote is ever read as typst markup. The limits of documents bound time and memory; the compiler has no clock to stop it
//! by, so a caller that must be done by a deadline needs one of its own around it.

mod fonts;
mod view;
mod world;

use std::panic::resume_unwind;
use std::thread;

use sequent_documents::{Report, Slides};
use typst::diag::SourceDiagnostic;
use typst_layout::PagedDocument;
use typst_pdf::PdfOptions;

use crate::Error;
use world::Desk;

const TEMPLATES: [(&str, &str); 3] = [
    ("blocks.typ", include_str!("pdf/blocks.typ")),
    ("report.typ", include_str!("pdf/report.typ")),
    ("slides.typ", include_str!("pdf/slides.typ")),
];

/// Layout recurses with the nesting of a page; a caller's thread may have little stack left.
const STACK: usize = 32 << 20;

pub(crate) fn report(report: &Report) -> Result<Vec<u8>, Error> {
    typeset("report.typ", view::report(report)?)
}

pub(crate) fn slides(slides: &Slides) -> Result<Vec<u8>, Error> {
    typeset("slides.typ", view::slides(slides)?)
}

fn typeset(main: &str, view: view::View) -> Result<Vec<u8>, Error> {
    let mut files = vec![("data.json".to_owned(), view.data)];
    files.extend(
        view.charts.into_iter().enumerate().map(|(at, svg)| (view::chart_path(at), svg.into_bytes())),
    );
    let desk = Desk::new(main, &TEMPLATES, files);
    thread::scope(|scope| {
        let worker = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || compile(&desk));
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

fn compile(desk: &Desk) -> Result<Vec<u8>, Error> {
    let compiled = typst::compile::<PagedDocument>(desk).output;
    let pdf = compiled.and_then(|document| typst_pdf::pdf(&document, &PdfOptions::default()));
    // What typst remembers for the next compilation would pile up from document to document.
    comemo::evict(0);
    pdf.map_err(|errors| Error::Renderer(first(&errors)))
}

fn first(errors: &[SourceDiagnostic]) -> String {
    errors.first().map(|error| error.message.to_string()).unwrap_or_default()
}
