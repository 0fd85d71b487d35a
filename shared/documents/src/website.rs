//! Websites: files under paths that are safe to unpack anywhere.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use crate::limits;

/// A website.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Website {
    /// The version of the format: 1.
    pub version: u8,
    /// The title.
    pub title: String,
    /// The page that opens first; one of the files.
    pub entry: FilePath,
    /// The files.
    pub files: Vec<File>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Where it lies.
    pub path: FilePath,
    /// Its media type.
    pub media_type: String,
    /// What is in it.
    #[serde(flatten)]
    pub content: Content,
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// Text.
    #[serde(rename = "content")]
    Text(String),
    /// Anything.
    #[serde(rename = "base64")]
    Binary(Binary),
}

impl Content {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(binary) => &binary.0,
        }
    }
}

/// Bytes, in JSON as base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Binary(pub Vec<u8>);

impl TryFrom<String> for Binary {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        BASE64_STANDARD.decode(text).map(Self).map_err(|error| format!("not base64: {error}"))
    }
}

impl From<Binary> for String {
    fn from(binary: Binary) -> Self {
        BASE64_STANDARD.encode(binary.0)
    }
}

/// A relative path that means the same file on every system: segments of `A-Z a-z 0-9 _ @ ~ + . -` that begin with none of
/// `. - ~` and do not end in a dot, separated by `/`; bounded in length and depth, and no name that Windows keeps for a
/// device.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(String);

impl FilePath {
    /// The path, if it is one.
    #[must_use]
    pub fn new(path: &str) -> Option<Self> {
        let fits = path.len() <= limits::PATH_CHARS && path.split('/').count() <= limits::PATH_DEPTH;
        (fits && path.split('/').all(is_segment)).then(|| Self(path.to_owned()))
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Two paths with one key are one file on a system that ignores case.
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
            "want a relative path such as `assets/site.css`: segments of A-Z a-z 0-9 _ @ ~ + . - between single slashes, \
             none beginning with a dot, at most 8 of them",
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
