//! The markup of texts and its parser.
//!
//! The syntax is `**bold**`, `*italic*`, `` `code` ``, `[words](https://address)` and `[^source-id]`. A
//! backslash escapes punctuation. A line break stays a line break. There are no errors: markup that is not
//! closed, and a link to an address that is not allowed, are plain text. The parser takes one pass. Its
//! frames nest at most three deep, one of each kind.

use crate::{SourceId, WebUrl, limits};

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub enum Inline {
    Plain(String),
    Bold(Vec<Inline>),
    Italic(Vec<Inline>),
    Code(String),
    Link {
        text: Vec<Inline>,
        url: WebUrl,
    },
    /// A citation of a source.
    Cite(SourceId),
    /// A line break within a paragraph.
    Break,
}

/// A text with parsed inline markup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    #[expect(missing_docs, reason = "plain data")]
    pub inlines: Vec<Inline>,
    /// The addresses of links that are not allowed and became plain text.
    pub refused_links: Vec<String>,
}

/// Parses a text with inline markup.
#[must_use]
pub fn parse(source: &str) -> Parsed {
    let mut parser = Parser {
        rest: source,
        before: None,
        frames: vec![OpenMark { mark: Mark::Root, inner: Vec::new() }],
        refused_links: Vec::new(),
        no_code: false,
    };
    while parser.step() {}
    while parser.frames.len() > 1 {
        parser.abandon();
    }
    let inlines = parser.frames.pop().map(|root| root.inner).unwrap_or_default();
    Parsed { inlines, refused_links: parser.refused_links }
}

/// Returns the text of `inlines` without markup and citations.
#[must_use]
pub fn plain(inlines: &[Inline]) -> String {
    let mut words = String::new();
    for inline in inlines {
        match inline {
            Inline::Plain(text) | Inline::Code(text) => words.push_str(text),
            Inline::Bold(inner) | Inline::Italic(inner) | Inline::Link { text: inner, .. } => {
                words.push_str(&plain(inner));
            }
            Inline::Cite(_) => {}
            Inline::Break => words.push(' '),
        }
    }
    words
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Root,
    Bold,
    Italic,
    Link,
}

impl Mark {
    const fn literal(self) -> &'static str {
        match self {
            Self::Root => "",
            Self::Bold => "**",
            Self::Italic => "*",
            Self::Link => "[",
        }
    }
}

struct OpenMark {
    mark: Mark,
    inner: Vec<Inline>,
}

struct Parser<'a> {
    rest: &'a str,
    before: Option<char>,
    /// The first frame is the root, which is never closed.
    frames: Vec<OpenMark>,
    refused_links: Vec<String>,
    /// There is no further backtick. Searching again would make the parser quadratic.
    no_code: bool,
}

impl<'a> Parser<'a> {
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        match first {
            '\\' => self.escape(),
            '\n' => self.line_break(),
            '`' => self.code(),
            '*' if self.rest.starts_with("**") => self.emphasis(Mark::Bold),
            '*' => self.emphasis(Mark::Italic),
            '[' => self.bracket(),
            ']' if self.is_open(Mark::Link) => self.link(),
            _ => {
                let special = |c| matches!(c, '\\' | '\n' | '`' | '*' | '[' | ']');
                let end = self.rest[first.len_utf8()..].find(special);
                self.literal(end.map_or(self.rest.len(), |end| end + first.len_utf8()));
            }
        }
        true
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.before = taken.chars().next_back().or(self.before);
        self.rest = rest;
        taken
    }

    fn literal(&mut self, bytes: usize) {
        let text = self.take(bytes);
        self.push_plain(text);
    }

    fn push_plain(&mut self, text: &str) {
        let inner = &mut self.top().inner;
        match inner.last_mut() {
            Some(Inline::Plain(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => inner.push(Inline::Plain(text.to_owned())),
        }
    }

    fn push(&mut self, inline: Inline) {
        match inline {
            Inline::Plain(text) => self.push_plain(&text),
            inline => self.top().inner.push(inline),
        }
    }

    fn top(&mut self) -> &mut OpenMark {
        self.frames.last_mut().expect("only `parse` pops the root frame")
    }

    fn is_open(&self, mark: Mark) -> bool {
        self.frames.iter().any(|frame| frame.mark == mark)
    }

    /// Turns the innermost frame into plain text of the frame around it.
    fn abandon(&mut self) {
        if let Some(frame) = self.frames.pop() {
            self.push_plain(frame.mark.literal());
            frame.inner.into_iter().for_each(|inline| self.push(inline));
        }
    }

    /// Closes `mark`, which must be open, and returns its content.
    fn close(&mut self, mark: Mark) -> Vec<Inline> {
        while self.top().mark != mark {
            self.abandon();
        }
        self.frames.pop().map(|frame| frame.inner).unwrap_or_default()
    }

    fn escape(&mut self) {
        self.take(1);
        match self.rest.chars().next() {
            Some(next) if next.is_ascii_punctuation() => self.literal(1),
            _ => self.push_plain("\\"),
        }
    }

    fn line_break(&mut self) {
        let end = self.rest.find(|c: char| !c.is_whitespace()).unwrap_or(self.rest.len());
        self.take(end);
        self.push(Inline::Break);
    }

    fn code(&mut self) {
        let end = if self.no_code { None } else { self.rest[1..].find('`') };
        match end {
            Some(end) if end > 0 => {
                let code = self.take(end + 2);
                self.push(Inline::Code(code[1..=end].to_owned()));
            }
            Some(_) => self.literal(2),
            None => {
                self.no_code = true;
                self.literal(1);
            }
        }
    }

    fn emphasis(&mut self, mark: Mark) {
        let width = mark.literal().len();
        let after = self.rest[width..].chars().next();
        let touches = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace());
        if self.is_open(mark) {
            if !touches(self.before) {
                return self.literal(width);
            }
            self.take(width);
            let inner = self.close(mark);
            if inner.is_empty() {
                let literal = mark.literal();
                self.push_plain(literal);
                return self.push_plain(literal);
            }
            self.push(if mark == Mark::Bold { Inline::Bold(inner) } else { Inline::Italic(inner) });
        } else if touches(after) {
            self.take(width);
            self.frames.push(OpenMark { mark, inner: Vec::new() });
        } else {
            self.literal(width);
        }
    }

    fn bracket(&mut self) {
        if let Some(name) = self.rest.strip_prefix("[^") {
            // An id is short and ASCII, so the search is bounded.
            let end = name.bytes().take(65).position(|b| b == b']');
            if let Some(id) = end.and_then(|end| name.get(..end)).and_then(SourceId::new) {
                self.take(id.as_str().len() + 3);
                return self.push(Inline::Cite(id));
            }
        }
        if self.is_open(Mark::Link) {
            return self.literal(1);
        }
        self.take(1);
        self.frames.push(OpenMark { mark: Mark::Link, inner: Vec::new() });
    }

    fn link(&mut self) {
        let target = self.rest.strip_prefix("](").and_then(|rest| {
            let mut depth = 0_usize;
            let end = rest.char_indices().take(limits::URL_CHARS).find_map(|(at, c)| match c {
                '(' => {
                    depth += 1;
                    None
                }
                ')' if depth == 0 => Some(at),
                ')' => {
                    depth -= 1;
                    None
                }
                _ => None,
            });
            end.map(|end| &rest[..end])
        });
        let Some(target) = target else {
            while self.top().mark != Mark::Link {
                self.abandon();
            }
            self.abandon();
            return self.literal(1);
        };
        match WebUrl::new(target) {
            Some(url) => {
                self.take(target.len() + 3);
                let text = self.close(Mark::Link);
                let text = if text.is_empty() { vec![Inline::Plain(url.as_str().to_owned())] } else { text };
                self.push(Inline::Link { text, url });
            }
            None => {
                self.refused_links.push(target.to_owned());
                while self.is_open(Mark::Link) {
                    self.abandon();
                }
                self.literal(target.len() + 3);
            }
        }
    }
}

#[cfg(test)]
mod tests;
