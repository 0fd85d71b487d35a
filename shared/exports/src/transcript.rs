//! A run or a conversation as a transcript: for people as HTML or Markdown, for programs as JSON lines.

use maud::{Markup, html};

use crate::html::{HtmlPage, Language, Plain};
use crate::markdown;
use crate::writing::Writing;

/// A run or a conversation in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct Transcript {
    pub title: String,
    pub parts: Vec<TranscriptPart>,
}

/// One part of a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptPart {
    /// The name of a person, an agent or a tool.
    pub author: String,
    /// The time, as the caller wants it to be shown.
    pub at: String,
    #[expect(missing_docs, reason = "plain data")]
    pub content: PartContent,
}

/// The content of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub enum PartContent {
    /// A message. It is shown as written, not as markup.
    Text(String),
    /// A call of a tool.
    Call { tool: String, arguments: String },
    /// The result of a call.
    Result { tool: String, failed: bool, content: String },
    /// A question to a person.
    Question(String),
}

const STYLE: &str = include_str!("html/transcript.css");

/// Renders the transcript as one HTML page.
#[must_use]
pub fn html(transcript: &Transcript) -> String {
    let writing = Writing::of_document(None);
    let body = html! {
        main {
            h1 { (line(writing, &transcript.title)) }
            @for part in &transcript.parts {
                article class=(class(&part.content)) {
                    header { b { (line(writing, &part.author)) } " " time { (Plain(&part.at)) } }
                    (content(writing, &part.content))
                }
                "\n"
            }
        }
    };
    HtmlPage { title: &transcript.title, writing, style: STYLE, class: None, script: None }.render(&body)
}

const fn class(content: &PartContent) -> &'static str {
    match content {
        PartContent::Text(_) => "text",
        PartContent::Question(_) => "question",
        PartContent::Call { .. } => "call",
        PartContent::Result { failed: false, .. } => "result",
        PartContent::Result { failed: true, .. } => "result failed",
    }
}

fn content(writing: Writing<'_>, content: &PartContent) -> Markup {
    match content {
        PartContent::Text(text) | PartContent::Question(text) => {
            let own = Language::of(writing.of(text), writing);
            html! { p.words lang=[own.lang] dir=[own.dir] { (Plain(text)) } }
        }
        PartContent::Call { tool, arguments } => folded("→", tool, arguments),
        PartContent::Result { tool, failed, content } => folded(result_sign(*failed), tool, content),
    }
}

fn line(writing: Writing<'_>, line: &str) -> Markup {
    let own = Language::of(writing.of(line), writing);
    html! { span lang=[own.lang] dir=[own.dir] { (Plain(line)) } }
}

fn folded(sign: &str, tool: &str, content: &str) -> Markup {
    html! {
        details {
            summary { (sign) " " code { (Plain(tool)) } }
            pre { (Plain(content)) }
        }
    }
}

const fn result_sign(failed: bool) -> &'static str {
    if failed { "✗" } else { "←" }
}

/// Renders the transcript as Markdown.
#[must_use]
pub fn markdown(transcript: &Transcript) -> String {
    let title = markdown::escape(&transcript.title);
    let parts: String = transcript.parts.iter().map(markdown_part).collect();
    format!("# {title}\n\n{parts}")
}

fn markdown_part(part: &TranscriptPart) -> String {
    let author = markdown::escape(&part.author);
    let at = markdown::escape(&part.at);
    let (suffix, content) = match &part.content {
        PartContent::Text(text) => (String::new(), paragraphs(text)),
        PartContent::Question(text) => (" · ?".to_owned(), paragraphs(text)),
        PartContent::Call { tool, arguments } => {
            (format!(" → {}", markdown::escape(tool)), markdown::fenced("json", arguments))
        }
        PartContent::Result { tool, failed, content } => {
            let sign = result_sign(*failed);
            (format!(" {sign} {}", markdown::escape(tool)), markdown::fenced("", content))
        }
    };
    format!("**{author}** · {at}{suffix}\n\n{content}")
}

fn paragraphs(text: &str) -> String {
    let lines = text.lines().map(|line| match markdown::escape(line.trim()) {
        line if line.is_empty() => "\n".to_owned(),
        line => line + "  \n",
    });
    lines.collect::<String>() + "\n"
}

/// Writes JSON values, one on each line. A line break inside a value would make two lines. JSON does not need
/// it, so it becomes a space.
#[must_use]
pub fn jsonl<L: AsRef<str>>(lines: impl IntoIterator<Item = L>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend(line.as_ref().trim().bytes().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { b }));
        bytes.push(b'\n');
    }
    bytes
}
