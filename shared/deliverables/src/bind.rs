//! Which claim rests on which source: a claim is bound to the source with whose words it shares most.

use std::collections::{BTreeMap, BTreeSet};

use sequent_documents::{Block, Report, SourceId, Text, WebUrl, limits};
use sequent_event::Citation;

/// Words that a claim and a source have to share, at least.
const SHARED: usize = 3;
/// The part of the words of the shorter of the two that they have to share.
const PART: f64 = 0.5;

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Claims that got a citation.
    pub(crate) claims: usize,
    /// Sources that the report names, and the run has not cited.
    pub(crate) unknown: Vec<String>,
    /// Sources that the run has cited, and no claim rests on.
    pub(crate) idle: Vec<String>,
}

/// Completes the report's list of sources by those that the run cited, and binds its claims to them: a paragraph or an
/// item of a list that cites nothing. What the report cites already stays as it is.
pub(crate) fn bind(report: &mut Report, cited: &[Citation]) -> Bound {
    let sources = list(report, cited);
    let mut bound = Bound::default();
    for section in &mut report.sections {
        for block in &mut section.blocks {
            let texts: Vec<&mut Text> = match block {
                Block::Paragraph { text } => vec![text],
                Block::List { items, .. } => items.iter_mut().collect(),
                _ => Vec::new(),
            };
            for text in texts {
                if text.citations().is_empty()
                    && let Some(id) = closest(&words(&text.plain()), &sources)
                    && let Some(cites) = citing(text, id)
                {
                    *text = cites;
                    bound.claims += 1;
                }
            }
        }
    }
    let used: BTreeSet<String> = report.cited().into_iter().map(str::to_owned).collect();
    let known: BTreeSet<&str> = sources.keys().map(SourceId::as_str).collect();
    let named = |keep: &dyn Fn(&str) -> bool| {
        let sources = report.sources.iter().filter(|source| keep(source.id.as_str()));
        sources.map(|source| source.url.as_str().to_owned()).collect()
    };
    bound.unknown = named(&|id| !known.contains(id));
    bound.idle = named(&|id| known.contains(id) && !used.contains(id));
    // A list of sources says what the report rests on.
    report.sources.retain(|source| used.contains(source.id.as_str()) || !known.contains(source.id.as_str()));
    bound
}

/// The words of each source that the run cited, by its name in the report; those that the report does not have are added.
fn list(report: &mut Report, cited: &[Citation]) -> BTreeMap<SourceId, BTreeSet<String>> {
    let mut sources: BTreeMap<SourceId, BTreeSet<String>> = BTreeMap::new();
    for citation in cited {
        let Some(url) = WebUrl::new(&citation.url) else { continue };
        let quote = citation.quote.as_deref().unwrap_or_default();
        let id = match report.sources.iter_mut().find(|source| source.url == url) {
            Some(source) => {
                if source.quote.is_none() {
                    source.quote = fitting(quote);
                }
                source.id.clone()
            }
            None => match report.add_source(url, &citation.title, fitting(quote)) {
                Some(id) => id,
                None => break, // the list is full
            },
        };
        sources.entry(id).or_default().extend(words(&format!("{} {quote}", citation.title)));
    }
    sources
}

fn fitting(quote: &str) -> Option<String> {
    let quote = quote.trim();
    (!quote.is_empty()).then(|| quote.chars().take(limits::QUOTE_CHARS).collect())
}

/// The text with a citation at its end, if there is room and the text does not end in something that hides it.
fn citing(text: &Text, id: &SourceId) -> Option<Text> {
    let source = format!("{}[^{}]", text.source().trim_end(), id.as_str());
    let fits = source.chars().count() <= limits::TEXT_CHARS;
    Some(Text::from(source)).filter(|text| fits && text.citations() == [id])
}

/// The source that shares most with a claim, if any shares enough.
fn closest<'a>(
    claim: &BTreeSet<String>,
    sources: &'a BTreeMap<SourceId, BTreeSet<String>>,
) -> Option<&'a SourceId> {
    let shared = |words: &BTreeSet<String>| claim.intersection(words).count();
    let enough = |words: &BTreeSet<String>| {
        let (shared, shorter) = (shared(words), claim.len().min(words.len()));
        shared >= SHARED && shared as f64 >= shorter as f64 * PART
    };
    let (id, _) = sources.iter().filter(|(_, words)| enough(words)).max_by_key(|(_, words)| shared(words))?;
    Some(id)
}

/// The words that count: those of four letters or more, and numbers.
fn words(text: &str) -> BTreeSet<String> {
    let counts = |word: &&str| word.chars().count() >= 4 || word.contains(char::is_numeric);
    text.split(|c: char| !c.is_alphanumeric()).filter(counts).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sequent_documents::Document;
    use serde_json::json;

    use super::*;

    fn report(blocks: serde_json::Value, sources: serde_json::Value) -> Report {
        let report = json!({"type": "report", "version": 1, "title": "T", "sources": sources,
            "sections": [{"heading": "A", "level": 1, "blocks": blocks}]});
        match Document::from_value(report).unwrap() {
            Document::Report(report) => report,
            _ => unreachable!(),
        }
    }

    fn citation(url: &str, title: &str, quote: &str) -> Citation {
        let quote = (!quote.is_empty()).then(|| quote.to_owned());
        Citation { url: url.to_owned(), title: title.to_owned(), quote, tool_call_id: None }
    }

    #[test]
    fn a_claim_is_bound_to_the_source_whose_words_it_has() {
        let blocks = json!([
            {"type": "paragraph", "text": "The tidal range at Cuxhaven is three metres."},
            {"type": "paragraph", "text": "Nobody knows why."},
            {"type": "list", "items": ["The moon pulls the oceans twice a day[^mine]", "Oceans follow the **moon**, twice each day."]},
        ]);
        let mine = json!([
            {"id": "mine", "url": "https://moon.example/", "title": "The moon"},
            {"id": "own", "url": "https://own.example/", "title": "Own"}
        ]);
        let mut report = report(blocks, mine);
        let cited = [
            citation(
                "https://tides.example/cux",
                "Tides",
                "At Cuxhaven the tidal range is about three metres",
            ),
            citation("https://moon.example", "The moon", "The oceans follow the moon twice a day"),
            citation("https://other.example/", "Volcanoes of Iceland", ""),
        ];
        let bound = bind(&mut report, &cited);
        let expected = Bound {
            claims: 2,
            unknown: vec!["https://own.example/".into()],
            idle: vec!["https://other.example/".into()],
        };
        assert_eq!(bound, expected);
        let json = serde_json::to_value(&report).unwrap();
        let blocks = &json["sections"][0]["blocks"];
        assert_eq!(blocks[0]["text"], "The tidal range at Cuxhaven is three metres.[^s1]");
        assert_eq!(blocks[1]["text"], "Nobody knows why.");
        assert_eq!(blocks[2]["items"][1], "Oceans follow the **moon**, twice each day.[^mine]");
        let ids: Vec<_> = report.sources.iter().map(|source| source.id.as_str()).collect();
        assert_eq!(ids, ["mine", "own", "s1"], "what no claim rests on is not listed");
        assert_eq!(report.sources[0].quote.as_deref(), Some("The oceans follow the moon twice a day"));
        assert_eq!(bind(&mut report.clone(), &cited).claims, 0, "once is enough");
    }

    proptest! {
        #[test]
        fn what_is_bound_is_a_document_still(
            texts in prop::collection::vec("([a-z]{1,9}[ *`\\[\\]^\\\\]{1,2}){1,20}", 1..9),
            quotes in prop::collection::vec("([a-z]{1,9} ){0,20}", 0..9),
        ) {
            let blocks: Vec<_> = texts.iter().map(|text| json!({"type": "paragraph", "text": text})).collect();
            let made = Document::from_value(json!({"type": "report", "version": 1, "title": "T",
                "sections": [{"heading": "A", "level": 1, "blocks": blocks}]}));
            let Ok(Document::Report(mut report)) = made else { return Ok(()) };
            let quotes = quotes.iter().enumerate();
            let cited: Vec<_> = quotes.map(|(n, quote)| citation(&format!("https://e{n}.example/"), "E", quote)).collect();
            let bound = bind(&mut report, &cited);
            let again = Document::from_value(serde_json::to_value(Document::Report(report.clone())).unwrap());
            prop_assert!(again.is_ok(), "{again:?}");
            prop_assert!(bound.claims <= texts.len());
        }
    }
}
