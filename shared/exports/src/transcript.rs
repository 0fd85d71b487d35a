//! What happened in a run, for people to read and for programs to go through.

use crate::html::{self, Page};
use crate::markdown;
use crate::writing::Writing;

/// A run, told in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// The title.
    pub title: String,
    /// What happened.
    pub entries: Vec<Entry>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who did it: a person, an agent, a tool.
    pub who: String,
    /// When, in the words of the caller.
    pub at: String,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Somebody said something. It is shown as it is, not as markup.
    Text(String),
    /// A tool was called.
    Call {
        /// The tool.
        tool: String,
        /// Its arguments.
        arguments: String,
    },
    /// A call's result.
    Result {
        /// The tool.
        tool: String,
        /// Whether it failed.
        failed: bool,
        /// What it said.
        content: String,
    },
    /// A person was asked.
    Question(String),
}

const STYLE: &str = include_str!("html/transcript.css");

/// The transcript as one page.
#[must_use]
pub fn html(transcript: &Transcript) -> String {
    let writing = Writing::of_document(None);
    let line = |line: &str| {
        format!("<span{}>{}</span>", html::attributes(writing, writing.of(line)), html::escape(line))
    };
    let words = |class: &str, text: &str| {
        let attributes = html::attributes(writing, writing.of(text));
        format!("<p class=\"{class}\"{attributes}>{}</p>\n", html::escape(text))
    };
    let entry = |entry: &Entry| {
        let (class, what) = match &entry.what {
            What::Text(text) => ("text", words("words", text)),
            What::Question(text) => ("question", words("words", text)),
            What::Call { tool, arguments } => ("call", folded("→", tool, arguments)),
            What::Result { tool, failed: false, content } => ("result", folded("←", tool, content)),
            What::Result { tool, failed: true, content } => ("result failed", folded("✗", tool, content)),
        };
        let (who, at) = (line(&entry.who), html::escape(&entry.at));
        format!(
            "<article class=\"{class}\">\n<header><b>{who}</b> <time>{at}</time></header>\n{what}</article>\n"
        )
    };
    let entries: String = transcript.entries.iter().map(entry).collect();
    let body = format!("<main>\n<h1>{}</h1>\n{entries}</main>\n", line(&transcript.title));
    Page { title: &transcript.title, writing, style: STYLE, body: &body, script: None }.render()
}

fn folded(sign: &str, tool: &str, content: &str) -> String {
    let (tool, content) = (html::escape(tool), html::escape(content));
    format!("<details><summary>{sign} <code>{tool}</code></summary><pre>{content}</pre></details>\n")
}

/// The transcript as Markdown.
#[must_use]
pub fn markdown(transcript: &Transcript) -> String {
    let paragraphs = |text: &str| {
        let lines = text.lines().map(|line| match markdown::escape(line.trim()) {
            line if line.is_empty() => "\n".to_owned(),
            line => line + "  \n",
        });
        lines.collect::<String>() + "\n"
    };
    let mut out = format!("# {}\n\n", markdown::escape(&transcript.title));
    for entry in &transcript.entries {
        let (who, at) = (markdown::escape(&entry.who), markdown::escape(&entry.at));
        out += &match &entry.what {
            What::Text(text) => format!("**{who}** · {at}\n\n{}", paragraphs(text)),
            What::Question(text) => format!("**{who}** · {at} · ?\n\n{}", paragraphs(text)),
            What::Call { tool, arguments } => {
                format!(
                    "**{who}** · {at} → {}\n\n{}",
                    markdown::escape(tool),
                    markdown::fenced("json", arguments)
                )
            }
            What::Result { tool, failed, content } => {
                let sign = if *failed { "✗" } else { "←" };
                format!(
                    "**{who}** · {at} {sign} {}\n\n{}",
                    markdown::escape(tool),
                    markdown::fenced("", content)
                )
            }
        };
    }
    out
}

/// JSON values, one a line. A line break inside a value would make two: JSON needs none, so it becomes a space.
#[must_use]
pub fn jsonl<L: AsRef<str>>(lines: impl IntoIterator<Item = L>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend(line.as_ref().trim().bytes().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { b }));
        bytes.push(b'\n');
    }
    bytes
}
