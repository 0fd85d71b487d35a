//! The catalogue of error codes as a document, which the `type` of every problem refers to.

use std::fmt::Write as _;

use sequent_core::{Code, error::Topic};

use crate::problem::status;

/// The catalogue in Markdown: one heading per code, so that `#<code>` is its anchor.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Errors\n\n\
         A failed request is answered with problem details (RFC 9457) as `application/problem+json`. Programs match on \
         `code`; `detail` is for people and may change. `type` refers to an entry of this document.\n\n\
         This file is generated from the catalogue in `shared/core/src/error/code.rs`. After a change there, run\n\
         `UPDATE_ERRORS=1 cargo test -p sequent-http catalogue`.\n",
    );
    for topic in Topic::ALL {
        let _ = write!(text, "\n## {}\n", topic.title()); // writing to a String cannot fail
        for &code in Code::ALL.iter().filter(|code| code.topic() == topic) {
            let status = status(code.kind());
            let _ = write!(
                text,
                "\n### `{code}`\n\n{status}. {cause}\n\n{remedy}\n",
                cause = code.cause(),
                remedy = code.remedy()
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_committed_catalogue_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/docs/errors.md");
        let generated = markdown();
        if std::env::var_os("UPDATE_ERRORS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap();
        assert!(committed == generated, "infra/docs/errors.md is stale: run this test with UPDATE_ERRORS=1");
    }
}
