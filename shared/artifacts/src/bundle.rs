//! Archives of websites, read in memory, entry by entry. Nothing in them is trusted.
//!
//! Dangerous archives are refused before anything is unpacked: names that lead out of the archive, links,
//! entries that share bytes (with which a small archive unpacks to any size), and too many or too large
//! entries. Unpacking stops at the size that the entry declares, and its checksum must be right.

mod directory;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
};

use bytes::Bytes;
use flate2::{Crc, bufread::DeflateDecoder};

use directory::{Method, ZipEntry, directory};

/// An archive that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The bytes are not an archive, or the archive is damaged.
    #[error("it is not a ZIP archive, or it is damaged")]
    Malformed,
    /// ZIP64, several volumes, encryption, or an unusual compression.
    #[error("it uses a feature of ZIP that is not supported")]
    Unsupported,
    /// The name of an entry leads out of the archive, or cannot be part of a URL.
    #[error("the name of an entry leads out of the archive")]
    Name,
    /// Two entries have the same name.
    #[error("two entries have the same name")]
    Duplicate,
    /// An entry is a link or another special file.
    #[error("an entry is not a file")]
    NotAFile,
    /// Two entries share bytes.
    #[error("entries overlap")]
    Overlap,
    /// The archive has more entries or more bytes than allowed.
    #[error("it is too large or has too many entries")]
    TooLarge,
    /// An entry unpacks to far more than its compressed bytes.
    #[error("it would unpack to too many bytes")]
    Bomb,
}

/// An archive that has been checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    bytes: Bytes,
    files: BTreeMap<String, ZipEntry>,
}

impl Bundle {
    /// Largest archive in bytes.
    pub const LARGEST: u64 = 32 << 20;
    const MOST_ENTRIES: usize = 2_000;
    /// Largest file in bytes, unpacked.
    const LARGEST_FILE: u64 = 16 << 20;
    /// Largest sum of all files in bytes, unpacked.
    const LARGEST_WHOLE: u64 = 64 << 20;
    /// Highest ratio of unpacked to compressed bytes. Pages compress less.
    const RATIO: u64 = 200;
    /// Files up to this many bytes may have a higher ratio.
    const SMALL: u64 = 64 << 10;

    /// Checks an archive.
    ///
    /// # Errors
    /// Returns the reason for which the archive is refused.
    pub fn open(bytes: Bytes) -> Result<Self, BundleError> {
        if bytes.len() as u64 > Self::LARGEST {
            return Err(BundleError::TooLarge);
        }
        let entries = directory(&bytes, Self::MOST_ENTRIES)?;
        let mut taken: Vec<(usize, usize)> = entries.iter().map(|(_, entry)| entry.extent).collect();
        taken.sort_unstable();
        if taken.windows(2).any(|pair| pair[0].1 > pair[1].0) {
            return Err(BundleError::Overlap);
        }
        let mut files = BTreeMap::new();
        let mut names = BTreeSet::new();
        let mut whole = 0_u64;
        for (name, entry) in entries {
            check_name(&name)?;
            // Some file systems and readers ignore the case of names.
            if !names.insert(name.trim_end_matches('/').to_lowercase()) {
                return Err(BundleError::Duplicate);
            }
            whole += entry.size;
            if entry.size > Self::LARGEST_FILE || whole > Self::LARGEST_WHOLE {
                return Err(BundleError::TooLarge);
            }
            if entry.size > Self::SMALL && entry.size / Self::RATIO > entry.packed as u64 {
                return Err(BundleError::Bomb);
            }
            if !name.ends_with('/') {
                files.insert(name, entry);
            }
        }
        Ok(Self { bytes, files })
    }

    /// The names of the files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Finds the file for a path of a URL. The file of a folder is its `index.html`.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&str> {
        let path = path.trim_end_matches('/');
        let index = if path.is_empty() { "index.html".to_owned() } else { format!("{path}/index.html") };
        let found = self.files.get_key_value(path).or_else(|| self.files.get_key_value(&index));
        found.map(|(name, _)| name.as_str())
    }

    /// Unpacks a file. Returns `None` if the archive does not contain it.
    ///
    /// # Errors
    /// Returns an error if the file does not have the size and the checksum that its entry declares.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, BundleError> {
        let Some(entry) = self.files.get(name) else { return Ok(None) };
        let packed = self.bytes.get(entry.data..entry.data + entry.packed).ok_or(BundleError::Malformed)?;
        let mut unpacked = Vec::new();
        match entry.method {
            Method::Stored => unpacked.extend_from_slice(packed),
            Method::Deflated => {
                // Reading one byte more than declared shows whether there are more.
                let read = DeflateDecoder::new(packed).take(entry.size + 1).read_to_end(&mut unpacked);
                read.map_err(|_| BundleError::Malformed)?;
            }
        }
        let mut crc = Crc::new();
        crc.update(&unpacked);
        if unpacked.len() as u64 > entry.size {
            return Err(BundleError::Bomb);
        }
        if unpacked.len() as u64 != entry.size || crc.sum() != entry.crc {
            return Err(BundleError::Malformed);
        }
        Ok(Some(unpacked))
    }
}

/// Accepts relative paths whose parts are ordinary names.
fn check_name(name: &str) -> Result<(), BundleError> {
    let odd = |c: char| c.is_control() || matches!(c, '\\' | ':');
    let path = name.strip_suffix('/').unwrap_or(name);
    let parts_are_plain = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if name.len() > 400 || name.contains(odd) || !parts_are_plain { Err(BundleError::Name) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
