//! What agents deliver: reports, slides and websites, as data.
//!
//! A model writes a document as JSON. [`Document::parse`] is the only way in: what it returns holds every rule of
//! [`limits`] and of [`Document::schema`], so that an exporter has nothing left to check, and what it refuses comes back
//! as [`Invalid`], worded so that the model can correct itself. Texts carry a small markup of their own
//! ([`inline`]), parsed here and nowhere else: no HTML and no other language ever passes through.

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
pub use document::{Document, Kind};
pub use format::Format;
pub use inline::Inline;
pub use invalid::{Invalid, Problem};
pub use report::{Report, Section};
pub use slides::{Layout, Slide, Slides, Theme};
pub use source::{Source, SourceId, WebUrl};
pub use text::Text;
pub use website::Website;
