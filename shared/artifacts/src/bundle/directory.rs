//! The directory of a ZIP archive (APPNOTE.TXT 6.3.10, section 4.3): the parts that ordinary archives use.

use bytes::Bytes;

use super::BundleError;

const END: [u8; 4] = *b"PK\x05\x06";
const END_SIZE: usize = 22;
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const CENTRAL_SIZE: usize = 46;
const LOCAL: [u8; 4] = *b"PK\x03\x04";
const LOCAL_SIZE: usize = 30;
/// The value of a field whose number is in a ZIP64 record.
const ZIP64: u32 = u32::MAX;

/// An entry of the directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct ZipEntry {
    pub(super) method: Method,
    pub(super) crc: u32,
    /// Position of the first compressed byte in the archive.
    pub(super) data: usize,
    /// Number of compressed bytes.
    pub(super) packed: usize,
    /// Number of unpacked bytes that the entry declares.
    pub(super) size: u64,
    /// Positions of the first byte of the entry's header and of the byte after its last one.
    pub(super) extent: (usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    Deflated,
}

/// Reads all entries in the order of the directory. Refuses more than `most`.
pub(super) fn directory(bytes: &Bytes, most: usize) -> Result<Vec<(String, ZipEntry)>, BundleError> {
    let end = end(bytes)?;
    let this_disk = end.u16(4)?;
    let first_disk = end.u16(6)?;
    let entries_here = usize::from(end.u16(8)?);
    let count = usize::from(end.u16(10)?);
    let size = end.u32(12)?;
    let offset = end.u32(16)?;
    if this_disk != 0 || first_disk != 0 || entries_here != count || offset == ZIP64 || size == ZIP64 {
        return Err(BundleError::Unsupported);
    }
    if count > most {
        return Err(BundleError::TooLarge);
    }
    let start = offset as usize;
    let mut rest = Record(bytes.get(start..start + size as usize).ok_or(BundleError::Malformed)?);
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let (name, entry, length) = central(rest, bytes, start)?;
        entries.push((name, entry));
        rest = Record(rest.0.get(length..).ok_or(BundleError::Malformed)?);
    }
    if rest.0.is_empty() { Ok(entries) } else { Err(BundleError::Malformed) }
}

/// Finds the record at the end of the archive, which a comment may follow.
fn end(bytes: &Bytes) -> Result<Record<'_>, BundleError> {
    let last = bytes.len().checked_sub(END_SIZE).ok_or(BundleError::Malformed)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let mut found = (first..=last).rev().filter(|at| bytes[*at..].starts_with(&END));
    let at = found.find(|at| {
        let comment = Record(&bytes[*at..]).u16(20).unwrap_or_default();
        at + END_SIZE + usize::from(comment) == bytes.len()
    });
    at.map(|at| Record(&bytes[at..])).ok_or(BundleError::Malformed)
}

/// Reads one entry of the directory. Returns its name, the entry, and the length of its record.
fn central(
    record: Record<'_>,
    bytes: &Bytes,
    end_of_entries: usize,
) -> Result<(String, ZipEntry, usize), BundleError> {
    if !record.0.starts_with(&CENTRAL) {
        return Err(BundleError::Malformed);
    }
    let made_by = record.u16(4)?;
    let flags = record.u16(8)?;
    let method = record.u16(10)?;
    let crc = record.u32(16)?;
    let packed = record.u32(20)?;
    let size = record.u32(24)?;
    let name_length = usize::from(record.u16(28)?);
    let extra_length = usize::from(record.u16(30)?);
    let comment_length = usize::from(record.u16(32)?);
    let attributes = record.u32(38)?;
    let local = record.u32(42)?;
    if flags & 1 != 0 || [packed, size, local].contains(&ZIP64) {
        return Err(BundleError::Unsupported); // encrypted, or ZIP64
    }
    // In archives made on Unix the upper half is the mode of the file, or 0. Only files and folders are
    // accepted.
    let kind = attributes >> 16 & 0o170_000;
    if made_by >> 8 == 3 && ![0, 0o100_000, 0o040_000].contains(&kind) {
        return Err(BundleError::NotAFile);
    }
    let name_end = CENTRAL_SIZE + name_length;
    let name = record.0.get(CENTRAL_SIZE..name_end).ok_or(BundleError::Malformed)?;
    let method = match method {
        0 if packed == size => Method::Stored,
        0 => return Err(BundleError::Malformed),
        8 => Method::Deflated,
        _ => return Err(BundleError::Unsupported),
    };
    let start = local as usize;
    let packed = packed as usize;
    let data = start + local_size(bytes, start, name)?;
    let stop = data + packed;
    if stop > end_of_entries {
        return Err(BundleError::Malformed);
    }
    let entry = ZipEntry { method, crc, data, packed, size: size.into(), extent: (start, stop) };
    let name = std::str::from_utf8(name).map_err(|_| BundleError::Name)?.to_owned();
    Ok((name, entry, name_end + extra_length + comment_length))
}

/// The size of the header before an entry's bytes. It must name the same entry, because other readers rely on
/// it.
fn local_size(bytes: &Bytes, start: usize, name: &[u8]) -> Result<usize, BundleError> {
    let header = Record(bytes.get(start..).ok_or(BundleError::Malformed)?);
    if !header.0.starts_with(&LOCAL) {
        return Err(BundleError::Malformed);
    }
    let name_length = usize::from(header.u16(26)?);
    let extra_length = usize::from(header.u16(28)?);
    if header.0.get(LOCAL_SIZE..LOCAL_SIZE + name_length) != Some(name) {
        return Err(BundleError::Malformed);
    }
    Ok(LOCAL_SIZE + name_length + extra_length)
}

/// A record with little-endian numbers at fixed positions.
#[derive(Clone, Copy)]
struct Record<'a>(&'a [u8]);

impl Record<'_> {
    fn u16(self, at: usize) -> Result<u16, BundleError> {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk).ok_or(BundleError::Malformed)?;
        Ok(u16::from_le_bytes(*bytes))
    }

    fn u32(self, at: usize) -> Result<u32, BundleError> {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk).ok_or(BundleError::Malformed)?;
        Ok(u32::from_le_bytes(*bytes))
    }
}
