//! ZIP archives. The same files give the same bytes.

use std::collections::HashSet;
use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter, result::ZipError};

use crate::Error;

/// Limit of the total size of the files. The archive is built in memory.
const MAX_BYTES: usize = 256 << 20;

/// Packs the files into one archive, in the given order.
///
/// # Errors
/// [`Error::Path`] and [`Error::TooLarge`].
pub fn zip<P: AsRef<str>, B: AsRef<[u8]>>(files: impl IntoIterator<Item = (P, B)>) -> Result<Vec<u8>, Error> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut taken = HashSet::new();
    let mut left = MAX_BYTES;
    for (path, bytes) in files {
        let path = path.as_ref();
        let bytes = bytes.as_ref();
        if !is_safe(path) || !taken.insert(path.to_lowercase()) {
            return Err(Error::Path(path.to_owned()));
        }
        left = left.checked_sub(bytes.len()).ok_or(Error::TooLarge(MAX_BYTES))?;
        writer.start_file(path, options).map_err(|error| failed(&error))?;
        writer.write_all(bytes).map_err(|error| Error::Renderer(error.to_string()))?;
    }
    writer.finish().map(Cursor::into_inner).map_err(|error| failed(&error))
}

fn failed(error: &ZipError) -> Error {
    Error::Renderer(error.to_string())
}

/// Returns `true` if the path stays inside the folder that the archive is unpacked to, on any system.
fn is_safe(path: &str) -> bool {
    let segment = |segment: &str| !segment.is_empty() && segment != "." && segment != "..";
    path.len() <= 1_024
        && path.split('/').all(segment)
        && !path
            .chars()
            .any(|c| c.is_control() || matches!(c, '\\' | ':' | '<' | '>' | '"' | '|' | '?' | '*'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let files = [("a/é.txt", "one".repeat(99)), ("b.txt", String::new())];
        let archive = zip(files.clone()).unwrap();
        assert_eq!(zip(files).unwrap(), archive);
        let mut read = zip::ZipArchive::new(Cursor::new(&archive)).unwrap();
        let mut text = String::new();
        read.by_name("a/é.txt").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((text.len(), read.len()), (297, 2));
    }

    #[test]
    fn a_path_that_leaves_the_folder_or_is_repeated_is_refused() {
        for path in ["", "/a", "../a", "a/../b", "a//b", "a/", "C:/a", "a\\b", "a\0"] {
            assert_eq!(zip([(path, "")]), Err(Error::Path(path.into())));
        }
        assert_eq!(zip([("a", ""), ("A", "")]), Err(Error::Path("A".into())));
    }
}
