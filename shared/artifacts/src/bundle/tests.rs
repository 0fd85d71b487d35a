//! Archives of ordinary tools and of attackers.

use std::io::Write;

use flate2::{Compression, write::DeflateEncoder};
use proptest::prelude::*;

use super::*;

/// An entry to write, with true or false properties.
#[derive(Clone)]
struct TestEntry {
    name: Vec<u8>,
    content: Vec<u8>,
    /// Declared in place of the true size.
    size: Option<u32>,
    mode: u32,
    flags: u16,
    method: u16,
}

fn file(name: &str, content: &[u8]) -> TestEntry {
    let content = content.to_vec();
    TestEntry { name: name.into(), content, size: None, mode: 0o100_644, flags: 0, method: 8 }
}

/// Writes an archive. With `shared`, all headers point at the first entry's bytes.
fn archive(entries: &[TestEntry], shared: bool) -> Bytes {
    let mut out = Vec::new();
    let mut central = Vec::new();
    for entry in entries {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&entry.content).unwrap();
        let packed = if entry.method == 8 { encoder.finish().unwrap() } else { entry.content.clone() };
        let mut crc = Crc::new();
        crc.update(&entry.content);
        let size = entry.size.unwrap_or(entry.content.len() as u32);
        let start = if shared { 0 } else { out.len() as u32 };
        let mut fields = Vec::new();
        fields.extend(20_u16.to_le_bytes());
        fields.extend(entry.flags.to_le_bytes());
        fields.extend(entry.method.to_le_bytes());
        fields.extend([0; 4]);
        fields.extend(crc.sum().to_le_bytes());
        fields.extend((packed.len() as u32).to_le_bytes());
        fields.extend(size.to_le_bytes());
        fields.extend((entry.name.len() as u16).to_le_bytes());
        fields.extend(0_u16.to_le_bytes());
        if !shared || out.is_empty() {
            out.extend(b"PK\x03\x04");
            out.extend(&fields);
            out.extend(&entry.name);
            out.extend(&packed);
        }
        central.extend(b"PK\x01\x02");
        central.extend((3_u16 << 8 | 20).to_le_bytes());
        central.extend(&fields);
        central.extend([0; 6]); // comment, disk, internal attributes
        central.extend((entry.mode << 16).to_le_bytes());
        central.extend(start.to_le_bytes());
        central.extend(&entry.name);
    }
    let count = entries.len() as u16;
    let size = central.len() as u32;
    let offset = out.len() as u32;
    out.extend(central);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(offset.to_le_bytes());
    out.extend(0_u16.to_le_bytes());
    out.into()
}

fn refused(entries: &[TestEntry]) -> BundleError {
    Bundle::open(archive(entries, false)).unwrap_err()
}

#[test]
fn a_website_is_read_by_the_paths_of_its_urls() {
    let stored = TestEntry { method: 0, ..file("assets/a.css", b"b{}") };
    let folder = TestEntry { mode: 0o040_755, method: 0, ..file("assets/", b"") };
    let bundle = Bundle::open(archive(&[file("index.html", b"<p>"), folder, stored], false)).unwrap();
    assert_eq!(bundle.names().collect::<Vec<_>>(), ["assets/a.css", "index.html"]);
    assert_eq!(bundle.find(""), Some("index.html"));
    assert_eq!(bundle.find("assets/"), None);
    assert_eq!(bundle.find("nothing"), None);
    assert_eq!(bundle.read("index.html").unwrap().unwrap(), b"<p>");
    assert_eq!(bundle.read(bundle.find("assets/a.css").unwrap()).unwrap().unwrap(), b"b{}");
    assert_eq!(bundle.read("assets/").unwrap(), None);
}

#[test]
fn no_name_leads_out_of_the_archive() {
    for name in [
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a//b",
        "./a",
        "a/.",
        "..",
        "",
        "..\\x",
        "C:/x",
        "a\0b",
        "a\nb",
        "a/../b",
        "file:///x",
        "/",
    ] {
        assert_eq!(refused(&[file(name, b"x")]), BundleError::Name, "{name:?}");
    }
    let latin = TestEntry { name: b"\xe9.html".to_vec(), ..file("", b"x") };
    assert_eq!(refused(&[latin]), BundleError::Name);
}

#[test]
fn no_entry_hides_another() {
    assert_eq!(refused(&[file("a", b"1"), file("a", b"2")]), BundleError::Duplicate);
    assert_eq!(refused(&[file("a", b"1"), file("A", b"2")]), BundleError::Duplicate);
    assert_eq!(refused(&[file("a", b"1"), file("a/", b"")]), BundleError::Duplicate);
    let link = TestEntry { mode: 0o120_777, ..file("link", b"/etc/passwd") };
    assert_eq!(refused(&[link]), BundleError::NotAFile);
    let shared = archive(&[file("a", b"1"), file("a", b"1")], true);
    assert_eq!(
        Bundle::open(shared).unwrap_err(),
        BundleError::Overlap,
        "overlaps are found before duplicate names"
    );
}

#[test]
fn no_archive_unpacks_to_more_than_allowed() {
    assert_eq!(refused(&[file("a", &vec![0; 1 << 20])]), BundleError::Bomb, "a thousand times its bytes");
    assert_eq!(refused(&[TestEntry { size: Some(17 << 20), ..file("a", b"x") }]), BundleError::TooLarge);
    let many: Vec<TestEntry> = (0..2_001).map(|n| file(&n.to_string(), b"")).collect();
    assert_eq!(refused(&many), BundleError::TooLarge);
    // An entry that declares too few bytes is found while unpacking, which stops there.
    let liar = TestEntry { size: Some(10), ..file("a", &vec![0; 1 << 20]) };
    let bundle = Bundle::open(archive(&[liar], false)).unwrap();
    assert_eq!(bundle.read("a").unwrap_err(), BundleError::Bomb);
    let short = TestEntry { size: Some(10), ..file("a", b"123") };
    assert_eq!(
        Bundle::open(archive(&[short], false)).unwrap().read("a").unwrap_err(),
        BundleError::Malformed
    );
}

#[test]
fn unusual_archives_are_refused() {
    assert_eq!(refused(&[TestEntry { flags: 1, ..file("a", b"x") }]), BundleError::Unsupported, "encrypted");
    assert_eq!(refused(&[TestEntry { method: 12, ..file("a", b"x") }]), BundleError::Unsupported, "bzip2");
    assert_eq!(
        refused(&[TestEntry { size: Some(u32::MAX), ..file("a", b"x") }]),
        BundleError::Unsupported,
        "ZIP64"
    );
    assert_eq!(Bundle::open(Bytes::from_static(b"<html>")).unwrap_err(), BundleError::Malformed);
    assert_eq!(Bundle::open(Bytes::new()).unwrap_err(), BundleError::Malformed);
}

proptest! {
    #[test]
    fn damage_never_panics(at: proptest::sample::Index, value: u8, cut: proptest::sample::Index) {
        let mut bytes = archive(&[file("index.html", b"<p>hello hello hello"), file("b", b"2")], false).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = value;
        for bytes in [bytes.clone(), bytes[..cut.index(bytes.len())].to_vec()] {
            if let Ok(bundle) = Bundle::open(bytes.into()) {
                let names: Vec<String> = bundle.names().map(str::to_owned).collect();
                for name in names {
                    let _ = bundle.read(&name); // any result will do, but no panic
                }
            }
        }
    }
}
