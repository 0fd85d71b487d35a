//! Self-contained pages: one file, style and charts inside, nothing loaded from anywhere.

mod blocks;
mod report;
mod slides;

pub(crate) use report::report;
pub(crate) use slides::slides;

use crate::writing::Writing;

/// Fonts that readers have; the names first are those of the PDF.
const BASE: &str = include_str!("html/base.css");

/// Text as content or as a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // HTML has no way to write them.
            c if c.is_control() && !matches!(c, '\n' | '\t') => escaped.push('\u{FFFD}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// `lang` and `dir`, where a text differs from what is around it.
pub(crate) fn attributes(around: Writing<'_>, own: Writing<'_>) -> String {
    if around == own {
        return String::new();
    }
    format!(" lang=\"{}\" dir=\"{}\"", escape(own.language), own.dir())
}

/// A whole page. The policy is a second lock: even if a text got through, nothing would run or load.
pub(crate) struct Page<'a> {
    pub(crate) title: &'a str,
    pub(crate) writing: Writing<'a>,
    pub(crate) style: &'a str,
    pub(crate) body: &'a str,
    /// One inline script of our own, and the digest of it that the policy allows.
    pub(crate) script: Option<(&'a str, &'a str)>,
}

impl Page<'_> {
    pub(crate) fn render(&self) -> String {
        let allowed = self.script.map(|(_, digest)| format!("; script-src '{digest}'")).unwrap_or_default();
        let script =
            self.script.map(|(script, _)| format!("<script>{script}</script>\n")).unwrap_or_default();
        format!(
            "<!doctype html>\n<html lang=\"{lang}\" dir=\"{dir}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'{allowed}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
             <style>\n{BASE}{style}</style>\n</head>\n<body>\n{body}{script}</body>\n</html>\n",
            lang = escape(self.writing.language),
            dir = self.writing.dir(),
            title = escape(self.title),
            style = self.style,
            body = self.body,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_text_or_attribute() {
        assert_eq!(escape("<a href='x\"'>&\u{0}"), "&lt;a href=&#39;x&quot;&#39;&gt;&amp;\u{FFFD}");
    }
}
