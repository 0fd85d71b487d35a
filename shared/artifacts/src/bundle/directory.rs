//! The directory of a ZIP archive (APPNOTE.TXT 6.3.10, 4.3), as far as ordinary archives use it.

use bytes::Bytes;

use super::Refused;

const END: [u8; 4] = *b"PK\x05\x06";
const END_SIZE: usize = 22;
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const CENTRAL_SIZE: usize = 46;
const LOCAL: [u8; 4] = *b"PK\x03\x04";
const LOCAL_SIZE: usize = 30;
/// What stands in place of a number that ZIP64 has elsewhere.
const ELSEWHERE: u32 = u32::MAX;

/// An entry, as the directory has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) method: Method,
    pub(super) crc: u32,
    /// Where its bytes begin, and how many there are.
    pub(super) data: usize,
    pub(super) packed: usize,
    /// How many bytes it says it unpacks to.
    pub(super) size: u64,
    /// The part of the archive it takes, header and bytes.
    pub(super) extent: (usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    Deflated,
}

/// All entries in the order of the directory, if there are at most `most`.
pub(super) fn directory(bytes: &Bytes, most: usize) -> Result<Vec<(String, Entry)>, Refused> {
    let end = end(bytes)?;
    let (this_disk, first_disk) = (end.u16(4)?, end.u16(6)?);
    let (here, count) = (end.u16(8)?, usize::from(end.u16(10)?));
    let (size, offset) = (end.u32(12)?, end.u32(16)?);
    if this_disk != 0
        || first_disk != 0
        || usize::from(here) != count
        || offset == ELSEWHERE
        || size == ELSEWHERE
    {
        return Err(Refused::Unsupported);
    }
    if count > most {
        return Err(Refused::TooLarge);
    }
    let (start, stop) = (offset as usize, offset as usize + size as usize);
    let mut rest = Part(bytes.get(start..stop).ok_or(Refused::Malformed)?);
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let (name, entry, length) = central(rest, bytes, start)?;
        entries.push((name, entry));
        rest = Part(rest.0.get(length..).ok_or(Refused::Malformed)?);
    }
    if rest.0.is_empty() { Ok(entries) } else { Err(Refused::Malformed) }
}

/// The record at the end, behind which there may be a comment.
fn end(bytes: &Bytes) -> Result<Part<'_>, Refused> {
    let last = bytes.len().checked_sub(END_SIZE).ok_or(Refused::Malformed)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let mut found = (first..=last).rev().filter(|at| bytes[*at..].starts_with(&END));
    let at = found.find(|at| {
        let comment = Part(&bytes[*at..]).u16(20).unwrap_or_default();
        at + END_SIZE + usize::from(comment) == bytes.len()
    });
    at.map(|at| Part(&bytes[at..])).ok_or(Refused::Malformed)
}

/// An entry of the directory, and how long it is there.
fn central(
    record: Part<'_>,
    bytes: &Bytes,
    end_of_entries: usize,
) -> Result<(String, Entry, usize), Refused> {
    if !record.0.starts_with(&CENTRAL) {
        return Err(Refused::Malformed);
    }
    let (made_by, flags, method) = (record.u16(4)?, record.u16(8)?, record.u16(10)?);
    let (crc, packed, size) = (record.u32(16)?, record.u32(20)?, record.u32(24)?);
    let (name, extra, comment) = (record.u16(28)?, record.u16(30)?, record.u16(32)?);
    let (attributes, local) = (record.u32(38)?, record.u32(42)?);
    if flags & 1 != 0 || [packed, size, local].contains(&ELSEWHERE) {
        return Err(Refused::Unsupported); // encrypted, or ZIP64
    }
    // Made on Unix, the upper half is the file's mode: 0 where it is not told, a file or a folder otherwise.
    let kind = attributes >> 16 & 0o170_000;
    if made_by >> 8 == 3 && ![0, 0o100_000, 0o040_000].contains(&kind) {
        return Err(Refused::NotAFile);
    }
    let name_end = CENTRAL_SIZE + usize::from(name);
    let name = record.0.get(CENTRAL_SIZE..name_end).ok_or(Refused::Malformed)?;
    let method = match method {
        0 if packed == size => Method::Stored,
        0 => return Err(Refused::Malformed),
        8 => Method::Deflated,
        _ => return Err(Refused::Unsupported),
    };
    let (start, packed) = (local as usize, packed as usize);
    let data = start + local_size(bytes, start, name)?;
    let stop = data + packed;
    if stop > end_of_entries {
        return Err(Refused::Malformed);
    }
    let entry = Entry { method, crc, data, packed, size: size.into(), extent: (start, stop) };
    let name = std::str::from_utf8(name).map_err(|_| Refused::Name)?.to_owned();
    Ok((name, entry, name_end + usize::from(extra) + usize::from(comment)))
}

/// The size of the header before an entry's bytes, which must be about the same entry: other readers believe it.
fn local_size(bytes: &Bytes, start: usize, name: &[u8]) -> Result<usize, Refused> {
    let header = Part(bytes.get(start..).ok_or(Refused::Malformed)?);
    if !header.0.starts_with(&LOCAL) {
        return Err(Refused::Malformed);
    }
    let (length, extra) = (usize::from(header.u16(26)?), usize::from(header.u16(28)?));
    if header.0.get(LOCAL_SIZE..LOCAL_SIZE + length) != Some(name) {
        return Err(Refused::Malformed);
    }
    Ok(LOCAL_SIZE + length + extra)
}

/// Little-endian numbers at places of a record.
#[derive(Clone, Copy)]
struct Part<'a>(&'a [u8]);

impl Part<'_> {
    fn u16(self, at: usize) -> Result<u16, Refused> {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk).ok_or(Refused::Malformed)?;
        Ok(u16::from_le_bytes(*bytes))
    }

    fn u32(self, at: usize) -> Result<u32, Refused> {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk).ok_or(Refused::Malformed)?;
        Ok(u32::from_le_bytes(*bytes))
    }
}
