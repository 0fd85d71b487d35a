//! Self-contained HTML pages: one file with its style and charts inside, which loads nothing.

mod blocks;
mod report;
mod slides;

use std::borrow::Cow;

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};
pub(crate) use report::report;
pub(crate) use slides::slides;

use crate::writing::Writing;

/// The style of every page. It prefers fonts that readers have; the first names are those of the PDF.
const BASE: &str = include_str!("html/base.css");

/// Text from a document, as content or as the value of an attribute. maud escapes it.
#[derive(Clone, Copy)]
pub(crate) struct Plain<'a>(pub(crate) &'a str);

impl Render for Plain<'_> {
    fn render_to(&self, page: &mut String) {
        // HTML cannot represent control characters.
        let is_forbidden = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        let text = match self.0.contains(is_forbidden) {
            true => Cow::Owned(self.0.replace(is_forbidden, "\u{FFFD}")),
            false => Cow::Borrowed(self.0),
        };
        text.render_to(page);
    }
}

/// The attributes `lang` and `dir` of an element. Both are absent if its text is written like the text around
/// it.
pub(crate) struct Language<'a> {
    pub(crate) lang: Option<Plain<'a>>,
    pub(crate) dir: Option<&'static str>,
}

impl<'a> Language<'a> {
    pub(crate) fn of(own: Writing<'a>, around: Writing<'_>) -> Self {
        let differs = own != around;
        Self { lang: differs.then_some(Plain(own.language)), dir: differs.then_some(own.dir()) }
    }
}

/// A script of ours that a page runs.
#[derive(Clone, Copy)]
pub(crate) struct PageScript {
    pub(crate) source: &'static str,
    /// The digest of `source`, as in a Content-Security-Policy.
    pub(crate) digest: &'static str,
}

/// A whole page. Its Content-Security-Policy is a second line of defence: even if a text were not escaped, it
/// could neither run nor load anything.
pub(crate) struct HtmlPage<'a> {
    pub(crate) title: &'a str,
    pub(crate) writing: Writing<'a>,
    pub(crate) style: &'static str,
    /// The class of `<body>`.
    pub(crate) class: Option<&'static str>,
    pub(crate) script: Option<PageScript>,
}

impl HtmlPage<'_> {
    pub(crate) fn render(&self, body: &Markup) -> String {
        let mut policy = String::from("default-src 'none'; style-src 'unsafe-inline'");
        if let Some(script) = self.script {
            policy.push_str("; script-src '");
            policy.push_str(script.digest);
            policy.push('\'');
        }
        let page = html! {
            (DOCTYPE)
            html lang=(Plain(self.writing.language)) dir=(self.writing.dir()) {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (Plain(self.title)) }
                    style { (PreEscaped(BASE)) (PreEscaped(self.style)) }
                }
                body class=[self.class] {
                    (body)
                    @if let Some(script) = self.script {
                        script { (PreEscaped(script.source)) }
                    }
                }
            }
        };
        page.into_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_element_or_attribute() {
        let hostile = Plain("<a href='x\"'>&\u{0}");
        assert_eq!(
            html! { p title=(hostile) { (hostile) } }.into_string(),
            "<p title=\"&lt;a href='x&quot;'&gt;&amp;\u{FFFD}\">&lt;a href='x&quot;'&gt;&amp;\u{FFFD}</p>"
        );
    }
}
