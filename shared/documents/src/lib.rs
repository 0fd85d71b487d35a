//! Documents that agents deliver: reports, slides and websites, as data.
//!
//! A model writes a document as JSON. Only [`Document::parse`] and its siblings create a [`Document`]. It
//! satisfies all rules of [`limits`] and of [`Document::schema`], so an exporter has nothing left to check. A
//! refused document gives [`InvalidDocument`], with messages from which the model can correct itself. Texts have a
//! small markup language ([`inline`]), which only this crate parses. HTML and other languages are plain text.

pub mod block;
pub mod chart;
mod check;
mod document;
mod example;
mod format;
pub mod inline;
mod invalid;
pub mod limits;
mod report;
pub mod schema;
mod slides;
mod source;
mod structure;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
pub mod website;

pub use block::Block;
pub use chart::Chart;
pub use document::{Document, DocumentKind};
pub use format::Format;
pub use inline::Inline;
pub use invalid::{InvalidDocument, Problem};
pub use report::{Report, Section};
pub use slides::{Layout, Slide, Slides, Theme};
pub use source::{Source, SourceId, WebUrl};
pub use text::Text;
pub use website::Website;
