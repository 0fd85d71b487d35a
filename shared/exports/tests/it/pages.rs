//! HTML pages and Markdown: small documents as a whole, long ones for what they must never contain.

use sequent_documents::{Document, testing};
use sequent_exports::transcript::{self, PartContent, Transcript, TranscriptPart};
use sequent_exports::{Error, Format, export};
use serde_json::{Value, json};

fn exported(document: &Document, format: Format) -> String {
    String::from_utf8(export(document, format).unwrap().bytes).unwrap()
}

fn small(blocks: Value) -> Document {
    Document::from_value(json!({"type": "report", "version": 1, "title": "A <b>title</b> & more", "language": "en",
        "sections": [{"heading": "1. #One", "level": 1, "blocks": blocks}],
        "sources": [{"id": "a", "url": "https://a.test/?q=1&r=\"", "title": "An *a*", "accessed": "2026-01-02"}]})).unwrap()
}

/// The part of a page between its header and its end.
fn body(page: &str) -> String {
    page.split_once("</header>").unwrap().1.split_once("</main>").unwrap().0.to_owned()
}

#[test]
fn a_small_report_as_a_page() {
    let report = small(json!([
        {"type": "paragraph", "text": "So **it** is.[^a] \"<i>\" [here](https://b.test/?a=1&b=2)"},
        {"type": "table", "header": ["k", "v"], "rows": [["שלום", "1"]]},
        {"type": "quote", "text": "q", "source": "w"},
    ]));
    insta::assert_snapshot!(body(&exported(&report, Format::Html)), @r##"
    <h2 id="section-1"><span class="number">1</span><span>1. #One</span></h2>
    <p>So <strong>it</strong> is.<sup id="cite-1"><a href="#source-1">1</a></sup> &quot;&lt;i&gt;&quot; <a href="https://b.test/?a=1&amp;b=2" rel="noopener noreferrer">here</a></p>
    <figure><div class="scroll"><table><thead><tr><th>k</th><th class="end">v</th></tr></thead><tbody><tr><td lang="he" dir="rtl">שלום</td><td class="end">1</td></tr></tbody></table></div></figure>
    <blockquote><p>q</p><footer>w</footer></blockquote>
    <h2 id="sources">Sources</h2><ol class="sources"><li id="source-1"><span>An *a*</span>. <span dir="ltr"><a href="https://a.test/?q=1&amp;r=%22" rel="noopener noreferrer">https://a.test/?q=1&amp;r=%22</a></span> (accessed 2026-01-02) <a href="#cite-1" aria-label="1">↩</a></li></ol>
    "##);
}

#[test]
fn a_small_report_as_markdown() {
    let report = small(json!([
        {"type": "paragraph", "text": "So **it** is.[^a] <i> 1. a_b\n- no list"},
        {"type": "table", "caption": "c", "header": ["k|", "v"], "rows": [["`a|b`", "1"]]},
        {"type": "chart", "kind": "bar", "labels": ["x", "y"], "unit": "%", "series": [{"name": "s", "values": [null, 2]}, {"name": "t", "values": [1.5, -1e9]}]},
        {"type": "code", "text": "```\ncode"},
    ]));
    insta::assert_snapshot!(exported(&report, Format::Markdown), @r#"
    # A \<b\>title\</b\> \& more

    ## 1\. #One

    So **it** is.[^1] \<i\> 1. a\_b  
    \- no list

    *c*

    | k\| | v |
    | --- | ---: |
    | `a\|b` | 1 |

    |  | s (%) | t (%) |
    | --- | ---: | ---: |
    | x |  | 1.5 |
    | y | 2 | -1000000000 |

    ````
    ```
    code
    ````

    ## Sources

    [^1]: An \*a\*. <https://a.test/?q=1&r=%22> (accessed 2026-01-02)
    "#);
}

#[test]
fn hostile_text_is_only_text() {
    let text = "</style></script><script>alert(1)</script><img src=x onerror=alert(1)>\" onload=\"x";
    let blocks = json!([
        {"type": "paragraph", "text": text}, {"type": "code", "text": text}, {"type": "callout", "title": text, "text": text},
        {"type": "chart", "kind": "pie", "labels": ["</svg><script>x"], "caption": text, "series": [{"name": "<s>", "values": [1]}]},
        {"type": "table", "header": [text], "rows": [[text]]},
    ]);
    let report = exported(&small(blocks.clone()), Format::Html);
    assert!(!report.contains("<script") && !report.contains("<img") && !report.contains("\" onload=\"x"));
    let slides = Document::from_value(json!({"type": "slides", "version": 1, "title": text,
        "slides": [{"title": text, "blocks": blocks, "notes": text}]}))
    .unwrap();
    let slides = exported(&slides, Format::Html);
    assert_eq!((slides.matches("<script").count(), slides.matches("</style>").count()), (1, 1));
}

#[test]
fn a_page_loads_nothing_and_its_anchors_exist() {
    for document in [testing::report(), testing::slides("dark")] {
        let page = exported(&document, Format::Html);
        for loading in ["src=", "<link", "@import", "url("] {
            assert!(!page.contains(loading), "{loading}");
        }
        let anchors: Vec<_> =
            page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert!(!anchors.is_empty());
        for anchor in anchors {
            assert_eq!(page.matches(&format!(" id=\"{anchor}\"")).count(), 1, "{anchor}");
        }
    }
    let report = exported(&testing::report(), Format::Html);
    assert_eq!(report.matches("<svg ").count(), 6);
    assert!(
        report.contains("<p lang=\"ar\" dir=\"rtl\">")
            && report.contains("<html lang=\"en-GB\" dir=\"ltr\">")
    );
}

#[test]
fn a_transcript_is_readable_and_inert() {
    let part = |author: &str, content| TranscriptPart { author: author.into(), at: "10:02".into(), content };
    let transcript = Transcript {
        title: "Run <1>".into(),
        parts: vec![
            part("Ana", PartContent::Text("# Find\n\n<b>it</b>".into())),
            part(
                "agent",
                PartContent::Call { tool: "web_fetch".into(), arguments: "{\"url\":\"```\"}".into() },
            ),
            part(
                "web_fetch",
                PartContent::Result {
                    tool: "web_fetch".into(),
                    failed: true,
                    content: "</pre><script>".into(),
                },
            ),
            part("agent", PartContent::Question("Which?".into())),
        ],
    };
    let page = transcript::html(&transcript);
    assert!(
        !page.contains("<script")
            && page.contains("&lt;/pre&gt;&lt;script&gt;")
            && page.contains("<details>")
    );
    insta::assert_snapshot!(transcript::markdown(&transcript), @r#"
    # Run \<1\>

    **Ana** · 10:02

    \# Find  

    \<b\>it\</b\>  

    **agent** · 10:02 → web\_fetch

    ````json
    {"url":"```"}
    ````

    **web\_fetch** · 10:02 ✗ web\_fetch

    ```
    </pre><script>
    ```

    **agent** · 10:02 · ?

    Which?
    "#);
    assert_eq!(transcript::jsonl(["{\"a\":1}\n", "{\n}"]), b"{\"a\":1}\n{ }\n");
}

#[test]
fn a_website_is_an_archive() {
    let website = Document::from_value(
        json!({"type": "website", "version": 1, "title": "S", "entry": "index.html", "files": [
        {"path": "index.html", "media_type": "text/html", "content": "<h1>hi</h1>"},
        {"path": "a/b.css", "media_type": "text/css", "content": ""}]}),
    )
    .unwrap();
    let archive = export(&website, Format::Zip).unwrap().bytes;
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive)).unwrap();
    assert_eq!(std::io::read_to_string(archive.by_name("index.html").unwrap()).unwrap(), "<h1>hi</h1>");
    assert!(matches!(export(&website, Format::Pdf), Err(Error::Unsupported { .. })));
    assert_eq!(Document::parse(export(&website, Format::Json).unwrap().bytes).unwrap(), website);
}
