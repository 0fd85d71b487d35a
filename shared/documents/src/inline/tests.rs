use proptest::prelude::*;

use super::*;

fn shown(source: &str) -> String {
    fn show(inlines: &[Inline]) -> String {
        let each = inlines.iter().map(|inline| match inline {
            Inline::Plain(text) => text.clone(),
            Inline::Bold(inner) => format!("<b {}>", show(inner)),
            Inline::Italic(inner) => format!("<i {}>", show(inner)),
            Inline::Code(text) => format!("<c {text}>"),
            Inline::Link { text, url } => format!("<a {} {}>", url.as_str(), show(text)),
            Inline::Cite(id) => format!("<^{}>", id.as_str()),
            Inline::Break => "<br>".into(),
        });
        each.collect()
    }
    show(&parse(source).inlines)
}

#[test]
fn markup_becomes_inlines() {
    for (source, expected) in [
        ("a **b** *c* `d*e` f", "a <b b> <i c> <c d*e> f"),
        ("**b *i* b**", "<b b <i i> b>"),
        ("[the *site*](https://a.test/x_(y))", "<a https://a.test/x_(y) the <i site>>"),
        ("[](https://a.test)", "<a https://a.test/ https://a.test/>"),
        ("So.[^who-1][^b]", "So.<^who-1><^b>"),
        ("one\ntwo\n\n three", "one<br>two<br>three"),
        (r"\*no\* \[no\] \a \", r"*no* [no] \a \"),
    ] {
        assert_eq!(shown(source), expected, "{source}");
    }
}

#[test]
fn markup_that_is_not_closed_is_text() {
    for source in [
        "2 * 3 * 4",
        "**",
        "****",
        "*a",
        "**a *b",
        "`a",
        "``",
        "[a",
        "[a]",
        "[a](b",
        "[^a b]",
        "[^",
        "a]",
        "#import \"x\"",
        "<script>alert(1)</script>",
        "[a](javascript:alert(1))",
        "$x$ @ref",
    ] {
        assert_eq!(shown(source), source);
    }
    assert_eq!(shown("**a *b** c*"), "<b a *b> c*");
    assert_eq!(parse("[a](javascript:x) [b](/c)").refused_links, ["javascript:x", "/c"]);
}

#[test]
fn nesting_is_limited_and_parsing_is_linear() {
    for unit in ["*", "[", "`", "**a", "[*", "[a](", "\\", "]", "[^"] {
        let source = unit.repeat(100_000 / unit.len());
        assert!(plain(&parse(&source).inlines).len() <= source.len());
    }
}

proptest! {
    #[test]
    fn no_word_is_lost(source in "[a-c *`\\[\\]()^\\\\\n]{0,60}") {
        let letters = |text: &str| text.chars().filter(char::is_ascii_alphabetic).count();
        let parsed = parse(&source);
        let mut cited = 0;
        for id in crate::Text::from(source.as_str()).citations() {
            cited += letters(id.as_str());
        }
        prop_assert_eq!(letters(&plain(&parsed.inlines)) + cited, letters(&source));
    }
}
