//! Converts HTML to text: headings, lists, links and table cells as in Markdown, without scripts and styles.
//!
//! It works on the stream of tokens and builds no tree, so time and memory are linear in the size of the
//! page, even for a page that is nested on purpose. Crates that build a tree do not have this property: a
//! page of 60 kB overflows the stack of `htmd` 0.5, and `htmd` and `html2text` 0.17 take longer than 20 s for
//! 1 MB of nested elements.

use html5gum::{DefaultEmitter, EndTag, StartTag, Token, Tokenizer};
use url::Url;

/// The text of a page.
#[derive(Debug, Default)]
pub(super) struct HtmlPage {
    /// The title, on one line.
    pub(super) title: String,
    pub(super) text: String,
}

/// Converts `html` until the text has [`Reader::MAX_TEXT`] bytes. Relative links are resolved against `base`.
pub(super) fn read(html: &str, base: &Url) -> HtmlPage {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut reader = Reader::new(base);
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => reader.start(&tag),
            Token::EndTag(tag) => reader.end(&tag),
            Token::String(text) => reader.characters(&String::from_utf8_lossy(&text)),
            _ => {}
        }
        if reader.page.text.len() > Reader::MAX_TEXT {
            break;
        }
    }
    reader.close_link();
    let HtmlPage { title, text } = reader.page;
    let words: Vec<_> = title.split_whitespace().collect();
    HtmlPage { title: words.join(" ").chars().take(300).collect(), text }
}

struct Reader<'a> {
    base: &'a Url,
    page: HtmlPage,
    /// The separator between the last word and the next one.
    gap: Gap,
    /// The prefix of the next word: a dash for a list item, `#` for a heading.
    marker: &'static str,
    link: Option<HtmlLink>,
    /// The element that is being skipped.
    skipped: Option<Skipped>,
    in_title: bool,
    preformatted: bool,
}

struct HtmlLink {
    address: String,
    /// The bracket before the link's text is written.
    is_open: bool,
}

struct Skipped {
    name: Vec<u8>,
    /// Number of open elements with this name.
    depth: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Space,
    Line,
    Paragraph,
}

impl<'a> Reader<'a> {
    /// Bytes of text. A limit is needed because many short links to long addresses make the text longer than
    /// the page.
    const MAX_TEXT: usize = 1 << 20;
    const MAX_ADDRESS: usize = 500;

    fn new(base: &'a Url) -> Self {
        Self {
            base,
            page: HtmlPage::default(),
            gap: Gap::None,
            marker: "",
            link: None,
            skipped: None,
            in_title: false,
            preformatted: false,
        }
    }

    fn start(&mut self, tag: &StartTag<()>) {
        let name = tag.name.as_slice();
        if let Some(skipped) = &mut self.skipped {
            if skipped.name == name {
                skipped.depth += 1;
            }
            return;
        }
        match name {
            b"script" | b"style" | b"noscript" | b"template" | b"svg" | b"iframe" | b"object" | b"canvas"
            | b"select" | b"textarea" => self.skipped = Some(Skipped { name: name.to_vec(), depth: 1 }),
            b"title" => self.in_title = self.page.title.is_empty(),
            b"a" => {
                self.close_link();
                let address = tag.attributes.get(b"href".as_slice());
                let address = address.and_then(|href| self.address(&String::from_utf8_lossy(href)));
                self.link = address.map(|address| HtmlLink { address, is_open: false });
            }
            b"img" => {
                if let Some(alt) = tag.attributes.get(b"alt".as_slice()).filter(|alt| !alt.is_empty()) {
                    self.characters(&format!(" [image: {}] ", String::from_utf8_lossy(alt)));
                }
            }
            b"pre" => {
                self.block(Gap::Paragraph, "");
                self.preformatted = true;
            }
            b"td" | b"th" => self.block(Gap::Space, "| "),
            _ => {
                let (gap, marker) = shape(name);
                self.block(gap, marker);
            }
        }
    }

    fn end(&mut self, tag: &EndTag<()>) {
        let name = tag.name.as_slice();
        if let Some(skipped) = &mut self.skipped {
            if skipped.name == name {
                skipped.depth -= 1;
                if skipped.depth == 0 {
                    self.skipped = None;
                }
            }
            return;
        }
        match name {
            b"title" => self.in_title = false,
            b"a" => self.close_link(),
            b"pre" => {
                self.preformatted = false;
                self.block(Gap::Paragraph, "");
            }
            _ => self.block(shape(name).0, ""),
        }
    }

    fn characters(&mut self, text: &str) {
        if self.in_title {
            self.page.title.push_str(text);
        } else if self.skipped.is_some() {
        } else if self.preformatted {
            if !text.trim().is_empty() {
                self.separate();
            }
            self.page.text.push_str(text);
        } else {
            if text.starts_with(char::is_whitespace) {
                self.gap = self.gap.max(Gap::Space);
            }
            for word in text.split_whitespace() {
                self.separate();
                self.page.text.push_str(word);
                self.gap = Gap::Space;
            }
            if !text.ends_with(char::is_whitespace) && !text.is_empty() {
                self.gap = Gap::None;
            }
        }
    }

    /// Writes the separator, the marker and the bracket that come before the next word.
    fn separate(&mut self) {
        let text = &mut self.page.text;
        let gap = std::mem::replace(&mut self.gap, Gap::None);
        if !text.is_empty() {
            let lines = match gap {
                Gap::None => 0,
                Gap::Space if text.ends_with([' ', '\n']) => 0,
                Gap::Space => {
                    text.push(' ');
                    0
                }
                Gap::Line => 1,
                Gap::Paragraph => 2,
            };
            if lines > 0 {
                text.truncate(text.trim_end().len());
                text.push_str(&"\n\n"[..lines]);
            }
        }
        text.push_str(std::mem::take(&mut self.marker));
        if let Some(link) = self.link.as_mut().filter(|link| !link.is_open) {
            text.push('[');
            link.is_open = true;
        }
    }

    fn block(&mut self, gap: Gap, marker: &'static str) {
        self.gap = self.gap.max(gap);
        if gap > Gap::None {
            self.marker = marker;
        }
    }

    fn close_link(&mut self) {
        if let Some(HtmlLink { address, is_open: true }) = self.link.take() {
            self.page.text.push_str(&format!("]({address})"));
        }
    }

    /// Resolves the target of a link. Returns `None` if it is not another page of the web.
    fn address(&self, href: &str) -> Option<String> {
        if href.starts_with('#') || href.len() > Self::MAX_ADDRESS {
            return None;
        }
        let url = self.base.join(href).ok()?;
        let is_web = matches!(url.scheme(), "http" | "https") && url.as_str().len() <= Self::MAX_ADDRESS;
        is_web.then(|| url.into())
    }
}

/// The separator around an element and the marker before it. Inline elements have neither.
fn shape(name: &[u8]) -> (Gap, &'static str) {
    match name {
        b"h1" => (Gap::Paragraph, "# "),
        b"h2" => (Gap::Paragraph, "## "),
        b"h3" => (Gap::Paragraph, "### "),
        b"h4" => (Gap::Paragraph, "#### "),
        b"h5" | b"h6" => (Gap::Paragraph, "##### "),
        b"li" => (Gap::Line, "- "),
        b"p" | b"ul" | b"ol" | b"dl" | b"table" | b"blockquote" | b"section" | b"article" | b"header"
        | b"footer" | b"main" | b"nav" | b"aside" | b"figure" | b"form" | b"hr" | b"body" => {
            (Gap::Paragraph, "")
        }
        b"br" | b"div" | b"tr" | b"dt" | b"dd" | b"caption" | b"figcaption" | b"option" | b"button"
        | b"summary" | b"details" | b"address" | b"fieldset" | b"legend" => (Gap::Line, ""),
        b"td" | b"th" => (Gap::Space, ""),
        _ => (Gap::None, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(html: &str) -> String {
        read(html, &Url::parse("https://a.test/dir/page").unwrap()).text
    }

    #[test]
    fn a_page_becomes_readable_text() {
        let html = r#"<!doctype html><html><head><title>News &amp; more</title><style>p{}</style>
            <script>if (a < b) { document.write("<p>no</p>") }</script></head>
            <body><h1>Today</h1><p>It <b>rain</b>ed,
              and <a href="../x?y=1">more
              here</a>.</p>
            <ul><li>one</li><li>two <a href="https://b.test/">b</a></ul>
            <table><tr><th>n</th><th>m</th></tr><tr><td>1</td><td>2</td></tr></table>
            <pre>
  a
    b</pre><p>end<br>of&nbsp;it<svg><title>x</title><text>no</text></svg></p></body></html>"#;
        let page = read(html, &Url::parse("https://a.test/dir/page").unwrap());
        assert_eq!(page.title, "News & more");
        assert_eq!(
            page.text,
            "# Today\n\nIt rained, and [more here](https://a.test/x?y=1).\n\n\
             - one\n- two [b](https://b.test/)\n\n| n | m\n| 1 | 2\n\n\n  a\n    b\n\nend\nof it"
        );
    }

    #[test]
    fn links_to_the_web_are_kept_and_others_become_plain_text() {
        assert_eq!(text("<a href='javascript:x()'>run</a> <a href='#top'>up</a> <a>none</a>"), "run up none");
        assert_eq!(
            text("<a href=x></a><a href=y>y<a href=z>z"),
            "[y](https://a.test/dir/y)[z](https://a.test/dir/z)"
        );
        assert_eq!(text("<a href=x><img src=i alt=Logo></a>"), "[[image: Logo]](https://a.test/dir/x)");
    }

    #[test]
    fn broken_and_hostile_pages_are_read_within_limits() {
        assert_eq!(text("a<script>b"), "a");
        assert_eq!(text("<p>a</p></p></div></svg><p>b"), "a\n\nb");
        assert_eq!(text("&lt;b&gt; &#x41; &bogus;"), "<b> A &bogus;");
        assert!(text(&"<div><a href=q>".repeat(50_000)).is_empty());
        let grown = text(&"<a href=q>x</a>".repeat(200_000));
        assert!(grown.len() < Reader::MAX_TEXT + 1000, "{}", grown.len());
    }
}
