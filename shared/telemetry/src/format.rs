//! The two formats of log lines.

use std::io::IsTerminal as _;

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line, for machines.
    Json,
    /// One line of aligned text, for a person at a terminal.
    Text,
}

impl Format {
    /// Reads `LOG_FORMAT` (`text` or `json`). The default is text at a terminal of the one-machine stack, and JSON
    /// everywhere else.
    #[must_use]
    pub fn from_env() -> Self {
        let local = std::env::var("LOCAL").unwrap_or_default();
        let asked = std::env::var("LOG_FORMAT").unwrap_or_default();
        Self::choose(&asked, &local, std::io::stdout().is_terminal())
    }

    fn choose(asked: &str, local: &str, terminal: bool) -> Self {
        match asked.to_ascii_lowercase().as_str() {
            "text" => Self::Text,
            "json" => Self::Json,
            _ if local == "true" && terminal => Self::Text,
            _ => Self::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_only_when_asked_or_at_a_developers_terminal() {
        assert_eq!(Format::choose("", "true", true), Format::Text);
        assert_eq!(Format::choose("", "true", false), Format::Json);
        assert_eq!(Format::choose("", "false", true), Format::Json);
        assert_eq!(Format::choose("TEXT", "false", false), Format::Text);
        assert_eq!(Format::choose("json", "true", true), Format::Json);
    }
}
