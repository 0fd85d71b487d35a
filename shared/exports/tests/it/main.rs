//! Exports, read back from each format.
#![expect(clippy::unwrap_used, reason = "a document that cannot be exported or read fails its test")]

mod pages;
mod pdf;
mod pdf_scripts;
