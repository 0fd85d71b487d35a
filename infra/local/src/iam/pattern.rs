//! Wildcards of policies: `*` is any text, `?` is any one character.

/// Returns `true` if the text matches the pattern.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let mut at = 0;
    let mut seen = 0;
    // The last asterisk, and the text that it has to leave to the rest of the pattern.
    let mut retry: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at + 1, seen + 1));
                at += 1;
            }
            Some(c) if *c == '?' || *c == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((after, next)) = retry else { return false };
                retry = Some((after, next + 1));
                at = after;
                seen = next;
            }
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// Returns `true` if the ARN matches the pattern. A wildcard matches within one of the first five parts of an ARN, or
/// anything in its last part, which names the resource.
pub(super) fn matches_arn(pattern: &str, arn: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let patterns: Vec<&str> = pattern.splitn(6, ':').collect();
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    patterns.len() == 6
        && parts.len() == 6
        && patterns.iter().zip(&parts).all(|(pattern, part)| matches(pattern, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, without regard to its cost.
    fn defined(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), None) => defined(rest, text),
            (Some(('*', rest)), Some((_, left))) => defined(rest, text) || defined(pattern, left),
            (Some(('?', rest)), Some((_, left))) => defined(rest, left),
            (Some((c, rest)), Some((d, left))) => c == d && defined(rest, left),
            _ => false,
        }
    }

    #[test]
    fn a_pattern_matches_as_defined() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut draw = |alphabet: &[char], most: usize| -> Vec<char> {
            (0..random.usize(..=most)).map(|_| alphabet[random.usize(..alphabet.len())]).collect()
        };
        let mut matched = 0;
        for _ in 0..20_000 {
            let pattern = draw(&['a', 'b', '*', '?'], 6);
            let text = draw(&['a', 'b', '*'], 8);
            let expected = defined(&pattern, &text);
            matched += usize::from(expected);
            let pattern: String = pattern.into_iter().collect();
            let text: String = text.into_iter().collect();
            assert_eq!(matches(&pattern, &text), expected, "{pattern} over {text}");
        }
        assert!(matched > 1000, "the samples match often enough to test anything: {matched}");
    }

    #[test]
    fn a_wildcard_stays_within_its_part_of_an_arn() {
        let table = "arn:aws:dynamodb:us-east-1:000000000000:table/main";
        assert!(matches_arn("*", table));
        assert!(matches_arn("arn:aws:dynamodb:*:*:table/*", table));
        assert!(matches_arn("arn:aws:s3:::b/*", "arn:aws:s3:::b/a:b/c"));
        assert!(!matches_arn("arn:aws:*:table/main", table));
        assert!(!matches_arn("arn:aws:dynamodb:us-east-1:000000000000:table/mai", table));
        assert!(!matches_arn(table, &format!("{table}/index/gsi1")), "an index is a resource of its own");
        assert!(!matches_arn(table, "*"), "a request without a resource needs a statement for all");
    }
}
