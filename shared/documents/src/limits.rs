//! How much a document may hold. The renderers' time and memory follow from these numbers.

/// The JSON of a report or of slides, in bytes.
pub const DOCUMENT_BYTES: usize = 2 << 20;
/// The JSON of a website, in bytes.
pub const WEBSITE_BYTES: usize = 32 << 20;
/// What the files of a website weigh together, decoded, in bytes.
pub const FILES_BYTES: usize = 20 << 20;
/// The files of a website.
pub const FILES: usize = 500;
/// The characters of a website's path.
pub const PATH_CHARS: usize = 200;
/// The segments of a website's path.
pub const PATH_DEPTH: usize = 8;

/// The characters of a title, heading, label or name.
pub const LINE_CHARS: usize = 300;
/// The characters of a paragraph or another running text.
pub const TEXT_CHARS: usize = 20_000;
/// The characters of a block of code.
pub const CODE_CHARS: usize = 50_000;
/// The characters of a source's passage.
pub const QUOTE_CHARS: usize = 2_000;
/// The characters of a web address.
pub const URL_CHARS: usize = 2_048;

/// The authors of a report.
pub const AUTHORS: usize = 20;
/// The sections of a report.
pub const SECTIONS: usize = 300;
/// The slides of a deck.
pub const SLIDES: usize = 150;
/// The blocks of one section or slide.
pub const BLOCKS: usize = 200;
/// The blocks of a document.
pub const BLOCKS_IN_ALL: usize = 2_000;
/// The items of a list.
pub const ITEMS: usize = 200;
/// The columns of a table.
pub const COLUMNS: usize = 12;
/// The rows of a table.
pub const ROWS: usize = 1_000;
/// The cells of all tables.
pub const CELLS_IN_ALL: usize = 10_000;
/// The charts of a document.
pub const CHARTS_IN_ALL: usize = 60;
/// The series of a chart.
pub const SERIES: usize = 12;
/// The values of a series.
pub const VALUES: usize = 500;
/// The largest magnitude of a value: beyond it an axis has no exact ticks.
pub const MAGNITUDE: f64 = 1e15;
/// The sources of a document.
pub const SOURCES: usize = 500;
/// The problems that [`Invalid`](crate::Invalid) lists: a model needs a few hints to do better, not all of them.
pub const PROBLEMS: usize = 12;
