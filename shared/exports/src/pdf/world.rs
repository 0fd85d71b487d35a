//! The world that typst compiles in: its library, our typefaces, the templates, and the document as data. It
//! has no file system, no packages and no clock.

use std::collections::HashMap;
use std::sync::LazyLock;

use typst::diag::{FileError, FileResult};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, World};

use super::fonts::FONTS;

static LIBRARY: LazyLock<LazyHash<Library>> = LazyLock::new(|| LazyHash::new(Library::default()));
static BOOK: LazyLock<LazyHash<FontBook>> =
    LazyLock::new(|| LazyHash::new(FontBook::from_fonts(FONTS.iter())));

/// The world of one document.
pub(super) struct DocumentWorld {
    main: FileId,
    sources: HashMap<FileId, Source>,
    files: HashMap<FileId, Bytes>,
}

impl DocumentWorld {
    /// A world whose main file is the first of `sources`.
    pub(super) fn new(main: &str, sources: &[(&str, &str)], files: Vec<(String, Vec<u8>)>) -> Self {
        let source = |(path, text): &(&str, &str)| (id(path), Source::new(id(path), (*text).to_owned()));
        Self {
            main: id(main),
            sources: sources.iter().map(source).collect(),
            files: files.into_iter().map(|(path, bytes)| (id(&path), Bytes::new(bytes))).collect(),
        }
    }
}

/// typst never frees an interned path, so `path` must be from a bounded set, never from a user.
fn id(path: &str) -> FileId {
    let path = VirtualPath::new(path).expect("the paths of templates, data and charts are our own");
    FileId::new(RootedPath::new(VirtualRoot::Project, path))
}

impl World for DocumentWorld {
    fn library(&self) -> &LazyHash<Library> {
        &LIBRARY
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &BOOK
    }

    fn main(&self) -> FileId {
        self.main
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        self.sources.get(&id).cloned().ok_or_else(|| not_found(id))
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        self.files.get(&id).cloned().ok_or_else(|| not_found(id))
    }

    fn font(&self, index: usize) -> Option<Font> {
        FONTS.get(index).cloned()
    }

    fn today(&self, _offset: Option<Duration>) -> Option<Datetime> {
        None
    }
}

fn not_found(id: FileId) -> FileError {
    FileError::NotFound(id.vpath().get_with_slash().into())
}
