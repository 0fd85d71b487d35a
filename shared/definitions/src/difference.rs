//! The difference between two texts, line by line.

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DiffLine {
    /// The text that has the line.
    pub change: LineChange,
    /// The line, without its end.
    pub text: String,
}

/// The text that has a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LineChange {
    /// Both texts have it.
    Same,
    /// Only the former text has it.
    Removed,
    /// Only the latter text has it.
    Added,
}

/// Returns the lines of both texts, in their order.
pub(crate) fn lines(from: &str, to: &str) -> Vec<DiffLine> {
    let diff = TextDiff::from_lines(from, to);
    let line = |change: similar::Change<&str>| DiffLine {
        change: match change.tag() {
            ChangeTag::Equal => LineChange::Same,
            ChangeTag::Delete => LineChange::Removed,
            ChangeTag::Insert => LineChange::Added,
        },
        text: change.value().trim_end_matches(['\n', '\r']).to_owned(),
    };
    diff.iter_all_changes().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_the_lines_of_both_texts() {
        let difference = lines("Be kind.\nBe brief.\nEnd.", "Be kind.\nBe exact.\nEnd.\n");
        let shown: Vec<String> =
            difference.iter().map(|line| format!("{:?} {}", line.change, line.text)).collect();
        assert_eq!(shown[..3], ["Same Be kind.", "Removed Be brief.", "Removed End."]);
        assert_eq!(shown[3..], ["Added Be exact.", "Added End."]);
    }
}
