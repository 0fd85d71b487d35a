//! Characters beyond U+FFFF that a server has split over two pieces, as `"\ud83d"` and `"\ude00"`.
//!
//! JSON allows half of a character in a string, Rust does not. [`mend`] writes each half as two characters that no text
//! contains: the noncharacter U+FDD0, which is for internal use only (Unicode, section 23.7), and one that names the half.
//! [`Joiner`] makes a whole character of two halves, and U+FFFD of a half that stays alone.

use std::borrow::Cow;

const MARK: char = '\u{fdd0}';
/// The character of the first surrogate. The others follow in order.
const FIRST: u32 = 0xe000;
const HIGH: std::ops::Range<u32> = 0xd800..0xdc00;
const LOW: std::ops::Range<u32> = 0xdc00..0xe000;

/// Returns JSON text in which halves of characters are marked.
pub(super) fn mend(json: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let mut rest = json;
    let mut is_changed = false;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let length = match unit(escape) {
            Some(high)
                if HIGH.contains(&high) && unit(&escape[6..]).is_some_and(|low| LOW.contains(&low)) =>
            {
                12
            }
            Some(half) if HIGH.contains(&half) || LOW.contains(&half) => {
                is_changed = true;
                mended.push(MARK);
                mended.extend(char::from_u32(half - HIGH.start + FIRST));
                rest = &escape[6..];
                continue;
            }
            _ => escape.char_indices().nth(2).map_or(escape.len(), |(at, _)| at),
        };
        let (whole, after) = escape.split_at(length);
        mended.push_str(whole);
        rest = after;
    }
    mended.push_str(rest);
    if is_changed { Cow::Owned(mended) } else { Cow::Borrowed(json) }
}

/// Returns the UTF-16 unit of an escape such as `\uD83D` at the beginning of `text`.
fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

/// Joins the halves of characters in the pieces of one text.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    high: Option<u32>,
}

impl Joiner {
    /// Returns the piece with whole characters. A first half at its end is kept for the next piece.
    pub(super) fn join(&mut self, piece: &str) -> String {
        if self.high.is_none() && !piece.contains(MARK) {
            return piece.to_owned();
        }
        let mut joined = String::with_capacity(piece.len());
        let mut chars = piece.chars().peekable();
        while let Some(next) = chars.next() {
            let half = chars.peek().and_then(|named| half_of(*named)).filter(|_| next == MARK);
            let Some(half) = half else {
                joined.extend(self.end());
                joined.push(next);
                continue;
            };
            chars.next();
            match self.high.take() {
                Some(high) if LOW.contains(&half) => joined.push(pair(high, half)),
                lone => {
                    joined.extend(lone.map(|_| char::REPLACEMENT_CHARACTER));
                    if HIGH.contains(&half) {
                        self.high = Some(half);
                    } else {
                        joined.push(char::REPLACEMENT_CHARACTER);
                    }
                }
            }
        }
        joined
    }

    /// Ends the text. Returns the replacement for a first half whose second half has not come.
    pub(super) fn end(&mut self) -> Option<char> {
        self.high.take().map(|_| char::REPLACEMENT_CHARACTER)
    }
}

/// Returns a text that is complete, with whole characters.
pub(super) fn joined(text: &str) -> String {
    let mut joiner = Joiner::default();
    let mut whole = joiner.join(text);
    whole.extend(joiner.end());
    whole
}

fn half_of(named: char) -> Option<u32> {
    let half = u32::from(named).checked_sub(FIRST)? + HIGH.start;
    (half < LOW.end).then_some(half)
}

fn pair(high: u32, low: u32) -> char {
    let code = 0x1_0000 + ((high - HIGH.start) << 10) + (low - LOW.start);
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of JSON strings that arrive one after the other.
    fn read(pieces: &[&str]) -> String {
        let mut joiner = Joiner::default();
        let mut text = String::new();
        for piece in pieces {
            let parsed: String = serde_json::from_str(&mend(piece)).unwrap();
            text += &joiner.join(&parsed);
        }
        text.extend(joiner.end());
        text
    }

    #[test]
    fn halves_are_joined_and_lonely_ones_replaced() {
        assert_eq!(read(&[r#""a\ud83d""#, r#""\ude00b""#]), "a😀b");
        assert_eq!(read(&[r#""\uD83D""#, r#""""#, r#""\uDE00""#]), "😀");
        assert_eq!(read(&[r#""\ud83d\ude00\ud83d""#, r#""\ude00""#]), "😀😀");
        assert_eq!(read(&[r#""\ud83dx""#, r#""\ude00""#]), "\u{fffd}x\u{fffd}");
        assert_eq!(read(&[r#""\ud83d\ud83d\ude00""#]), "\u{fffd}😀");
        assert_eq!(read(&[r#""\ud83d""#]), "\u{fffd}");
        assert_eq!(read(&[r#""\ud83d""#, r#""plain""#]), "\u{fffd}plain");
    }

    #[test]
    fn other_escapes_stay() {
        let json = r#""\\ud83d \n \u00e9 \" \ud83d\ude00 \\""#;
        assert!(matches!(mend(json), Cow::Borrowed(_)));
        assert_eq!(read(&[json]), "\\ud83d \n é \" 😀 \\");
        for cut in [r#""\"#, r#""\u"#, r#""\ud8"#, "\"\\é"] {
            assert_eq!(mend(cut), cut);
        }
    }
}
