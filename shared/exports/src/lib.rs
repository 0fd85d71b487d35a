//! Exports: files for people, made of what agents deliver. [`export`] and [`zip()`] are pure functions from
//! [documents](sequent_documents) to bytes. [`RenderExport`] is the job that calls them.
//!
//! Rendering uses no network, no file system and no clock: the same document gives the same bytes. The text
//! of a document is inert in every format: it is never interpreted as markup, script or style.

mod archive;
mod chart;
mod citations;
mod error;
mod export;
mod headings;
mod html;
mod markdown;
mod pdf;
mod render;
pub mod transcript;
mod words;
mod writing;

pub use archive::zip;
pub use error::Error;
pub use export::{Exported, export};
pub use render::RenderExport;
pub use sequent_documents::Format;
pub use transcript::Transcript;
