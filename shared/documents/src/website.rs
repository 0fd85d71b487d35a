//! Websites: files whose paths are safe to unpack on any system.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use crate::limits;

/// A website as a set of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Website {
    /// The version of the format: 1.
    pub version: u8,
    pub title: String,
    /// The path of the page that opens first.
    pub entry: FilePath,
    pub files: Vec<File>,
}

/// A file of a website.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct File {
    pub path: FilePath,
    pub media_type: String,
    #[serde(flatten)]
    pub content: FileContent,
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub enum FileContent {
    #[serde(rename = "content")]
    Text(String),
    #[serde(rename = "base64")]
    Binary(Binary),
}

impl FileContent {
    /// The bytes of the file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(binary) => &binary.0,
        }
    }
}

/// Bytes that are written as base64 in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Binary(pub Vec<u8>);

impl TryFrom<String> for Binary {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        BASE64_STANDARD
            .decode(text)
            .map(Self)
            .map_err(|error| format!("the value is not valid base64: {error}"))
    }
}

impl From<Binary> for String {
    fn from(binary: Binary) -> Self {
        BASE64_STANDARD.encode(binary.0)
    }
}

/// A relative path that means the same file on every system. Its segments are separated by `/`, consist of
/// `A-Z a-z 0-9 _ @ ~ + . -`, do not start with `.`, `-` or `~`, do not end with a dot, and are not names
/// that Windows reserves for devices. Length and depth are limited.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(String);

impl FilePath {
    /// Returns `None` if the path is not valid.
    #[must_use]
    pub fn new(path: &str) -> Option<Self> {
        let fits = path.len() <= limits::PATH_CHARS && path.split('/').count() <= limits::PATH_DEPTH;
        (fits && path.split('/').all(is_segment)).then(|| Self(path.to_owned()))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the same key for two paths that are the same file on a system that ignores case.
    pub(crate) fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

fn is_segment(segment: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'@' | b'~' | b'+' | b'.' | b'-');
    let stem = segment.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = |device: &str| {
        stem.strip_prefix(device).is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let device = matches!(&*stem, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt");
    !segment.is_empty()
        && segment.bytes().all(plain)
        && !segment.starts_with(['.', '-', '~'])
        && !segment.ends_with('.')
        && !device
}

impl TryFrom<String> for FilePath {
    type Error = &'static str;

    fn try_from(path: String) -> Result<Self, Self::Error> {
        Self::new(&path).ok_or(
            "the path must be relative, such as `assets/site.css`: at most 8 segments of A-Z a-z 0-9 _ @ ~ + . - \
             between single slashes, none starting with a dot",
        )
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_its_folder() {
        for path in ["index.html", "assets/css/site.min.css", "a@2x.png", "c", "console.js", "_x/1.js"] {
            assert!(FilePath::new(path).is_some(), "{path}");
        }
        let long = "a".repeat(201);
        let deep = "a/".repeat(9);
        for path in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../a",
            "a/../b",
            "./a",
            "a//b",
            "a/",
            "a\\b",
            "C:\\a",
            "c:a",
            "a\0",
            "a\nb",
            "~root",
            "-rf",
            ".htaccess",
            "a.",
            "a ",
            "NUL",
            "con.txt",
            "x/LPT1.js",
            "é",
            &long,
            &deep,
        ] {
            assert!(FilePath::new(path).is_none(), "{path:?}");
        }
    }
}
