//! Notes the permissions that functions use, one JSON line each, so that a report can list the others.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::policy::Permission;

/// The notes of one stack. Without a folder nothing is noted.
#[derive(Debug)]
pub(super) struct Used(Option<Mutex<Notes>>);

#[derive(Debug)]
struct Notes {
    file: File,
    noted: BTreeSet<Permission>,
}

impl Used {
    /// Creates a file of its own in the folder, because many stacks run at once.
    pub(super) fn open(folder: Option<&Path>) -> std::io::Result<Self> {
        let Some(folder) = folder else { return Ok(Self(None)) };
        std::fs::create_dir_all(folder)?;
        let file = File::create(folder.join(format!("{}.jsonl", crate::request_id())))?;
        Ok(Self(Some(Mutex::new(Notes { file, noted: BTreeSet::new() }))))
    }

    /// Notes permissions at once, because a test may end the process at any time.
    pub(super) fn note(&self, permissions: Vec<Permission>) {
        let Some(notes) = &self.0 else { return };
        let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
        for permission in permissions {
            let line = serde_json::to_string(&permission).unwrap_or_default();
            if notes.noted.insert(permission) {
                // The report would then list the permission as unused, which is noticed.
                let _ = writeln!(notes.file, "{line}");
            }
        }
    }
}

/// Reads the notes of all stacks.
pub(super) fn read(folder: &Path) -> std::io::Result<BTreeSet<Permission>> {
    let mut used = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        for line in BufReader::new(File::open(entry?.path())?).lines() {
            // The last line is incomplete if its process was killed.
            used.extend(serde_json::from_str::<Permission>(&line?));
        }
    }
    Ok(used)
}
