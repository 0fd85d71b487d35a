//! Finds an address in a text, in the spellings that people and pages use.

use url::Url;

/// A web address in its spellings.
#[derive(Debug, Clone)]
pub(super) struct Address {
    spellings: Vec<String>,
}

impl Address {
    /// Returns `None` if the text is not a web address.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut url = Url::parse(text).ok()?;
        url.host_str()?;
        url.set_fragment(None);
        let written = text.split('#').next().unwrap_or_default().trim();
        let mut spellings = vec![url.as_str().to_owned(), written.to_owned()];
        for whole in [url.as_str(), written] {
            let bare =
                whole.strip_prefix("https://").or_else(|| whole.strip_prefix("http://")).unwrap_or(whole);
            spellings.push(bare.to_owned());
            if url.query().is_none() {
                spellings.push(bare.trim_end_matches('/').to_owned());
            }
        }
        spellings.retain(|spelling| !spelling.is_empty());
        spellings.sort_unstable();
        spellings.dedup();
        Some(Self { spellings })
    }

    /// Returns `true` if the text contains the whole address. A part of a longer address is not enough: the end of an
    /// address is where text can be added to it.
    pub(super) fn occurs_in(&self, text: &str) -> bool {
        // JSON can escape the slashes.
        let plain = if text.contains("\\/") { text.replace("\\/", "/") } else { text.to_owned() };
        self.spellings.iter().any(|spelling| occurs(spelling, &plain))
    }
}

fn occurs(address: &str, text: &str) -> bool {
    text.match_indices(address).any(|(at, found)| starts(&text[..at]) && ends(&text[at + found.len()..]))
}

/// Returns `true` if an address can start after this text.
fn starts(before: &str) -> bool {
    match before.chars().next_back() {
        Some('/') => before.ends_with("//"),
        Some(last) => {
            !last.is_alphanumeric() && !matches!(last, '.' | '-' | '_' | '@' | '%' | '=' | '&' | '?')
        }
        None => true,
    }
}

/// Returns `true` if an address ends before this text.
fn ends(after: &str) -> bool {
    let rest = after.strip_prefix('/').unwrap_or(after);
    let rest = rest.trim_start_matches(['.', ',', ';', ':', '!', '?']);
    let ends_here = |text: &str| {
        text.chars().next().is_none_or(|next| next.is_whitespace() || "\"'`<>()[]{}|\\^*#".contains(next))
    };
    ends_here(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurs(url: &str, text: &str) -> bool {
        Address::parse(url).unwrap().occurs_in(text)
    }

    #[test]
    fn an_address_is_found_in_the_spellings_of_people_and_pages() {
        for (url, text) in [
            ("https://a.example/", "What does a.example say?"),
            ("https://a.example/x?y=1", "[more](https://a.example/x?y=1)"),
            ("http://a.example/x", "see https://a.example/x."),
            ("https://a.example/x", "**https://a.example/x/**"),
            ("https://a.example/x/", "Read https://a.example/x, then stop."),
            ("https://A.example/x#part", "https://a.example/x#other"),
            ("https://a.example/x", r#"{"url":"https:\/\/a.example\/x"}"#),
            ("https://a.example/x", "<https://a.example/x>"),
        ] {
            assert!(occurs(url, text), "{url} in {text}");
        }
    }

    #[test]
    fn a_part_of_another_address_is_not_the_address() {
        for (url, text) in [
            ("https://a.example/x", "https://a.example/xy"),
            ("https://a.example/x", "https://a.example/x?y=1"),
            ("https://a.example/", "https://b.a.example/"),
            ("https://a.example/", "mail@a.example"),
            ("https://a.example/", "https://b.example/a.example"),
            ("https://a.example/x?y=secret", "https://a.example/x?y="),
            ("https://a.example/x", "https://a.example/"),
        ] {
            assert!(!occurs(url, text), "{url} in {text}");
        }
        assert!(Address::parse("not an address").is_none());
        assert!(Address::parse("data:text/plain,x").is_none());
    }
}
