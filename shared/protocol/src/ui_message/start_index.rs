//! The start of a resumed stream, in the form of `WorkflowChatTransport`.

use std::str::FromStr;

/// The parameter `?startIndex=`: a count of chunks from the beginning, or, if negative, from the end of the
/// stored log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartIndex {
    /// Skip this number of chunks, which the client has received.
    Skip(u64),
    /// Start this number of chunks before the end.
    Last(u64),
}

/// The value is not a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("startIndex must be a whole number of chunks; a negative number counts from the end")]
pub struct InvalidStartIndex;

impl Default for StartIndex {
    fn default() -> Self {
        Self::Skip(0)
    }
}

impl FromStr for StartIndex {
    type Err = InvalidStartIndex;

    fn from_str(text: &str) -> Result<Self, InvalidStartIndex> {
        let (digits, from_end) = match text.strip_prefix('-') {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidStartIndex);
        }
        let count = digits.parse().map_err(|_| InvalidStartIndex)?;
        Ok(if from_end { Self::Last(count) } else { Self::Skip(count) })
    }
}

impl StartIndex {
    /// Returns the number of chunks to skip if `stored` chunks exist. For a negative index the client
    /// computes the same number from the header `x-workflow-stream-tail-index`, which must be `stored - 1` at
    /// the same time.
    #[must_use]
    pub const fn resolve(self, stored: u64) -> u64 {
        match self {
            Self::Skip(count) => count,
            Self::Last(count) => stored.saturating_sub(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_either_end() {
        assert_eq!("12".parse(), Ok(StartIndex::Skip(12)));
        assert_eq!("-20".parse::<StartIndex>().unwrap().resolve(500), 480, "the example of the SDK");
        assert_eq!(StartIndex::Last(20).resolve(3), 0);
        for text in ["", "-", "+1", "--1", "1.5", "99999999999999999999"] {
            assert_eq!(text.parse::<StartIndex>(), Err(InvalidStartIndex), "{text:?}");
        }
    }
}
