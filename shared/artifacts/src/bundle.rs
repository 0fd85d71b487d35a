//! Archives of websites: read in memory, entry by entry, and nothing of them is believed.
//!
//! What makes archives dangerous is refused before anything is unpacked: names that lead out of the archive, links,
//! entries that share bytes (which is how small archives unpack to anything), too many, too large, or too much in
//! all. Unpacking stops at the size that the entry declared, and its checksum must be right.

mod directory;

use std::{collections::BTreeMap, io::Read};

use bytes::Bytes;
use flate2::{Crc, bufread::DeflateDecoder};

use directory::{Entry, Method, directory};

/// Why an archive is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is none, or damaged.
    #[error("it is not a ZIP archive, or it is damaged")]
    Malformed,
    /// ZIP64, several volumes, encryption, or an unusual compression.
    #[error("it uses a feature of ZIP that is not supported")]
    Unsupported,
    /// An entry's name leads out of the archive, or cannot be an address.
    #[error("the name of an entry leads out of the archive")]
    Name,
    /// Two entries have the same name.
    #[error("two entries have the same name")]
    Twice,
    /// An entry is a link, or another special file.
    #[error("an entry is not a file")]
    NotAFile,
    /// Two entries share bytes.
    #[error("entries overlap")]
    Overlap,
    /// More entries, or more bytes, than are taken.
    #[error("it holds too much")]
    TooLarge,
    /// An entry claims to be far larger than its compressed bytes.
    #[error("it would unpack to too much")]
    Bomb,
}

/// An archive that has been checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    bytes: Bytes,
    files: BTreeMap<String, Entry>,
}

impl Bundle {
    /// Most bytes of an archive.
    pub const LARGEST: u64 = 32 << 20;
    /// Most entries.
    const MOST: usize = 2_000;
    /// Most bytes of a file, and of all files.
    const LARGEST_FILE: u64 = 16 << 20;
    const LARGEST_WHOLE: u64 = 64 << 20;
    /// A file that unpacks to more than this many times its bytes is no page. Small ones may.
    const RATIO: u64 = 200;
    const SMALL: u64 = 64 << 10;

    /// Checks an archive.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn open(bytes: Bytes) -> Result<Self, Refused> {
        if bytes.len() as u64 > Self::LARGEST {
            return Err(Refused::TooLarge);
        }
        let entries = directory(&bytes, Self::MOST)?;
        let mut taken: Vec<(usize, usize)> = entries.iter().map(|(_, entry)| entry.extent).collect();
        taken.sort_unstable();
        if taken.windows(2).any(|pair| pair[0].1 > pair[1].0) {
            return Err(Refused::Overlap);
        }
        let (mut files, mut names, mut whole) = (BTreeMap::new(), BTreeMap::new(), 0_u64);
        for (name, entry) in entries {
            check_name(&name)?;
            // File systems, and readers, may not tell cases apart.
            if names.insert(name.trim_end_matches('/').to_lowercase(), ()).is_some() {
                return Err(Refused::Twice);
            }
            whole += entry.size;
            if entry.size > Self::LARGEST_FILE || whole > Self::LARGEST_WHOLE {
                return Err(Refused::TooLarge);
            }
            if entry.size > Self::SMALL && entry.size / Self::RATIO > entry.packed as u64 {
                return Err(Refused::Bomb);
            }
            if !name.ends_with('/') {
                files.insert(name, entry);
            }
        }
        Ok(Self { bytes, files })
    }

    /// The names of its files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The file at a path of an address: a folder's is its `index.html`.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&str> {
        let path = path.trim_end_matches('/');
        let index = if path.is_empty() { "index.html".to_owned() } else { format!("{path}/index.html") };
        let found = self.files.get_key_value(path).or_else(|| self.files.get_key_value(&index));
        found.map(|(name, _)| name.as_str())
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// When it does not unpack to what it declared.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Refused> {
        let Some(entry) = self.files.get(name) else { return Ok(None) };
        let packed = self.bytes.get(entry.data..entry.data + entry.packed).ok_or(Refused::Malformed)?;
        let mut unpacked = Vec::new();
        match entry.method {
            Method::Stored => unpacked.extend_from_slice(packed),
            Method::Deflated => {
                // One byte more than declared shows that there is more.
                let read = DeflateDecoder::new(packed).take(entry.size + 1).read_to_end(&mut unpacked);
                read.map_err(|_| Refused::Malformed)?;
            }
        }
        let mut crc = Crc::new();
        crc.update(&unpacked);
        if unpacked.len() as u64 > entry.size {
            return Err(Refused::Bomb);
        }
        if unpacked.len() as u64 != entry.size || crc.sum() != entry.crc {
            return Err(Refused::Malformed);
        }
        Ok(Some(unpacked))
    }
}

/// A relative path of ordinary names.
fn check_name(name: &str) -> Result<(), Refused> {
    let odd = |c: char| c.is_control() || matches!(c, '\\' | ':');
    let path = name.strip_suffix('/').unwrap_or(name);
    let parts_are_plain = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if name.len() > 400 || name.contains(odd) || !parts_are_plain { Err(Refused::Name) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
