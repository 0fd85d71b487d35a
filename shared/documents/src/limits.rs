//! Limits of the size of documents. They bound the time and memory of the renderers.

/// The JSON of a report or of slides, in bytes.
pub const DOCUMENT_BYTES: usize = 2 << 20;
/// The JSON of a website, in bytes.
pub const WEBSITE_BYTES: usize = 32 << 20;
/// The size of all files of a website together, decoded, in bytes.
pub const FILES_BYTES: usize = 20 << 20;
/// The number of files of a website.
pub const FILES: usize = 500;
/// The length in characters of a website's path.
pub const PATH_CHARS: usize = 200;
/// The number of segments of a website's path.
pub const PATH_DEPTH: usize = 8;

/// The length in characters of a title, heading, label or name.
pub const LINE_CHARS: usize = 300;
/// The length in characters of a paragraph or another running text.
pub const TEXT_CHARS: usize = 20_000;
/// The length in characters of a block of code.
pub const CODE_CHARS: usize = 50_000;
/// The length in characters of the passage of a source.
pub const QUOTE_CHARS: usize = 2_000;
/// The length in characters of a web address.
pub const URL_CHARS: usize = 2_048;

/// The number of authors of a report.
pub const AUTHORS: usize = 20;
/// The number of sections of a report.
pub const SECTIONS: usize = 300;
/// The number of slides of a deck.
pub const SLIDES: usize = 150;
/// The number of blocks of one section or slide.
pub const BLOCKS: usize = 200;
/// The number of blocks of a document.
pub const BLOCKS_IN_ALL: usize = 2_000;
/// The number of items of a list.
pub const ITEMS: usize = 200;
/// The number of columns of a table.
pub const COLUMNS: usize = 12;
/// The number of rows of a table.
pub const ROWS: usize = 1_000;
/// The number of cells of all tables.
pub const CELLS_IN_ALL: usize = 10_000;
/// The number of charts of a document.
pub const CHARTS_IN_ALL: usize = 60;
/// The number of series of a chart.
pub const SERIES: usize = 12;
/// The number of values of a series.
pub const VALUES: usize = 500;
/// The largest absolute value in a chart. The ticks of an axis beyond it would not be exact.
pub const MAGNITUDE: f64 = 1e15;
/// The number of sources of a document.
pub const SOURCES: usize = 500;
/// The number of problems that [`InvalidDocument`](crate::InvalidDocument) lists: a few hints are enough for a model.
pub const PROBLEMS: usize = 12;
