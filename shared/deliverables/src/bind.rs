//! Binds claims to sources: each claim to the source with which it has the most words in common.

use std::collections::{BTreeMap, BTreeSet};

use sequent_documents::{Block, Report, SourceId, Text, WebUrl, limits};
use sequent_event::Citation;

/// Words that a claim and a source must have in common.
const MIN_COMMON: usize = 3;
/// Minimum ratio of common words to the words of the shorter text.
const MIN_RATIO: f64 = 0.5;

/// The result of binding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Number of claims that got a citation.
    pub(crate) claims: usize,
    /// Sources of the report that the run has not cited.
    pub(crate) uncited: Vec<String>,
    /// Sources that the run has cited and no claim uses.
    pub(crate) unused: Vec<String>,
}

/// Adds the sources that the run cited to the report, and binds claims to them. A claim is a paragraph or a
/// list item without a citation. Existing citations stay.
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
                    && let Some(cited) = with_citation(text, id)
                {
                    *text = cited;
                    bound.claims += 1;
                }
            }
        }
    }
    let used: BTreeSet<String> = report.cited().into_iter().map(str::to_owned).collect();
    let known: BTreeSet<&str> = sources.keys().map(SourceId::as_str).collect();
    let urls = |keep: &dyn Fn(&str) -> bool| {
        let sources = report.sources.iter().filter(|source| keep(source.id.as_str()));
        sources.map(|source| source.url.as_str().to_owned()).collect()
    };
    bound.uncited = urls(&|id| !known.contains(id));
    bound.unused = urls(&|id| known.contains(id) && !used.contains(id));
    // Sources that the run cited but no claim uses are not listed.
    report.sources.retain(|source| used.contains(source.id.as_str()) || !known.contains(source.id.as_str()));
    bound
}

/// Returns the words of each source that the run cited, by its id in the report. Adds missing sources to the
/// report.
fn list(report: &mut Report, cited: &[Citation]) -> BTreeMap<SourceId, BTreeSet<String>> {
    let mut sources: BTreeMap<SourceId, BTreeSet<String>> = BTreeMap::new();
    for citation in cited {
        let Some(url) = WebUrl::new(&citation.url) else { continue };
        let quote = citation.quote.as_deref().unwrap_or_default();
        let id = match report.sources.iter_mut().find(|source| source.url == url) {
            Some(source) => {
                if source.quote.is_none() {
                    source.quote = cut_quote(quote);
                }
                source.id.clone()
            }
            None => match report.add_source(url, &citation.title, cut_quote(quote)) {
                Some(id) => id,
                None => break, // the list is full
            },
        };
        sources.entry(id).or_default().extend(words(&format!("{} {quote}", citation.title)));
    }
    sources
}

fn cut_quote(quote: &str) -> Option<String> {
    let quote = quote.trim();
    (!quote.is_empty()).then(|| quote.chars().take(limits::QUOTE_CHARS).collect())
}

/// Appends a citation to a text. Returns `None` if the text becomes too long, or ends in markup that hides
/// the citation.
fn with_citation(text: &Text, id: &SourceId) -> Option<Text> {
    let source = format!("{}[^{}]", text.source().trim_end(), id.as_str());
    let fits = source.chars().count() <= limits::TEXT_CHARS;
    Some(Text::from(source)).filter(|text| fits && text.citations() == [id])
}

/// Returns the source with the most words in common with a claim, if one has enough.
fn closest<'a>(
    claim: &BTreeSet<String>,
    sources: &'a BTreeMap<SourceId, BTreeSet<String>>,
) -> Option<&'a SourceId> {
    let common = |words: &BTreeSet<String>| claim.intersection(words).count();
    let is_enough = |words: &BTreeSet<String>| {
        let common = common(words);
        let shorter = claim.len().min(words.len());
        common >= MIN_COMMON && common as f64 >= shorter as f64 * MIN_RATIO
    };
    let (id, _) =
        sources.iter().filter(|(_, words)| is_enough(words)).max_by_key(|(_, words)| common(words))?;
    Some(id)
}

/// Returns the significant words of a text: those of four letters or more, and numbers.
fn words(text: &str) -> BTreeSet<String> {
    let is_significant = |word: &&str| word.chars().count() >= 4 || word.contains(char::is_numeric);
    text.split(|c: char| !c.is_alphanumeric()).filter(is_significant).map(str::to_lowercase).collect()
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
    fn a_claim_is_bound_to_the_source_with_the_same_words() {
        let blocks = json!([
            {"type": "paragraph", "text": "The tidal range at Cuxhaven is three metres."},
            {"type": "paragraph", "text": "The reason is unknown."},
            {"type": "list", "items": ["The moon pulls the oceans twice a day[^mine]", "Oceans follow the **moon**, twice each day."]},
        ]);
        let own_sources = json!([
            {"id": "mine", "url": "https://moon.example/", "title": "The moon"},
            {"id": "own", "url": "https://own.example/", "title": "Own"}
        ]);
        let mut report = report(blocks, own_sources);
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
            uncited: vec!["https://own.example/".into()],
            unused: vec!["https://other.example/".into()],
        };
        assert_eq!(bound, expected);
        let json = serde_json::to_value(&report).unwrap();
        let blocks = &json["sections"][0]["blocks"];
        assert_eq!(blocks[0]["text"], "The tidal range at Cuxhaven is three metres.[^s1]");
        assert_eq!(blocks[1]["text"], "The reason is unknown.");
        assert_eq!(blocks[2]["items"][1], "Oceans follow the **moon**, twice each day.[^mine]");
        let ids: Vec<_> = report.sources.iter().map(|source| source.id.as_str()).collect();
        assert_eq!(ids, ["mine", "own", "s1"], "a source that no claim uses is not listed");
        assert_eq!(report.sources[0].quote.as_deref(), Some("The oceans follow the moon twice a day"));
        assert_eq!(bind(&mut report.clone(), &cited).claims, 0, "a second time changes nothing");
    }

    proptest! {
        #[test]
        fn a_report_with_citations_is_still_a_valid_document(
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
