//! The structure of image files, as far as it shows that a file is complete.
//!
//! Decoders fill the missing part of a JPEG with grey, and need neither the end of a PNG nor that of a WebP. The providers of
//! models refuse such files.

use bytes::Bytes;
use sequent_model::FileType;

/// Returns `true` if the file has its end. The decoder checks a GIF.
pub(crate) fn is_complete(file_type: FileType, bytes: &Bytes) -> bool {
    match file_type {
        FileType::Jpeg => has_end_of_jpeg(bytes),
        FileType::Png => has_end_of_png(bytes),
        FileType::Webp => has_end_of_webp(bytes),
        FileType::Gif | FileType::Pdf => true,
    }
}

/// Walks the markers up to `EOI` (ITU-T T.81, annex B). Only segments with a length are skipped: in the data of a scan, 0xff is
/// followed by 0x00 or a restart marker.
fn has_end_of_jpeg(bytes: &[u8]) -> bool {
    const STUFFED: u8 = 0x00;
    const TEM: u8 = 0x01;
    const RST0: u8 = 0xd0;
    const SOI: u8 = 0xd8;
    const EOI: u8 = 0xd9;
    const FILL: u8 = 0xff;

    let mut at = 0;
    while let Some(next) = bytes.get(at..).and_then(|rest| memchr::memchr(0xff, rest)) {
        at += next;
        match bytes.get(at + 1) {
            None => return false,
            Some(&EOI) => return true,
            Some(&FILL) => at += 1,
            Some(&(STUFFED | TEM | RST0..=SOI)) => at += 2,
            Some(_) => match bytes.get(at + 2..).and_then(<[u8]>::first_chunk) {
                Some(length) => at += 2 + usize::from(u16::from_be_bytes(*length)),
                None => return false,
            },
        }
    }
    false
}

/// Walks the chunks up to `IEND` (PNG, third edition, section 5.3).
fn has_end_of_png(bytes: &[u8]) -> bool {
    const SIGNATURE: usize = 8;
    /// Length, type and checksum.
    const AROUND: usize = 12;

    let mut rest = bytes.get(SIGNATURE..).unwrap_or_default();
    while let Some(length) = rest.first_chunk() {
        let size = (u32::from_be_bytes(*length) as usize).saturating_add(AROUND);
        let Some(chunk) = rest.get(..size) else { return false };
        if chunk.get(4..8) == Some(b"IEND") {
            return true;
        }
        rest = &rest[size..];
    }
    false
}

/// Compares the length in the header (RFC 9649, section 2.4). Bytes after the end do not matter.
fn has_end_of_webp(bytes: &[u8]) -> bool {
    let declared = bytes.get(4..).and_then(<[u8]>::first_chunk).map(|size| u32::from_le_bytes(*size));
    declared.is_some_and(|size| bytes.len() as u64 >= u64::from(size) + 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_jpeg_is_not_the_one_of_its_thumbnail() {
        let thumbnail = b"\xff\xd8\xff\xe1\x00\x06\xff\xd9\xff\xd9";
        let scan = b"\xff\xda\x00\x02\x12\xff\x00\x34\xff\xd0\x56\xff";
        let cut = [thumbnail.as_slice(), scan].concat();
        assert!(!has_end_of_jpeg(&cut));
        assert!(has_end_of_jpeg(&[cut.as_slice(), b"\xff\xd9 and more"].concat()));
        for bytes in [&b""[..], b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xe1\x00", b"\xff\xd8\xff\xe1\xff\xff"] {
            assert!(!has_end_of_jpeg(bytes), "{bytes:?}");
        }
    }

    #[test]
    fn lengths_beyond_the_file_are_no_end() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xae\x42\x60\x82";
        assert!(has_end_of_png(png));
        assert!(!has_end_of_png(&png[..19]));
        assert!(!has_end_of_png(b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIEND"));
        assert!(!has_end_of_webp(b"RIFF\xff\xff\xff\xffWEBP"));
        assert!(has_end_of_webp(b"RIFF\x04\0\0\0WEBP"));
    }
}
