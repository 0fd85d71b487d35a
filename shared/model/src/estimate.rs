//! A careful estimate of the tokens of a request, before any provider has counted them.
//!
//! The estimate decides what still fits a context window, so it is rather too high than too low. A word of prose has a token
//! for about four letters. Digits, punctuation and long strings without spaces, as JSON, code and encoded bytes have them, and
//! characters of other scripts, have more. The estimate that pays for an answer without figures is in the module `meter`.

use crate::{Message, Part, Request, ToolSpec};

/// The unit of the weights below: twelfths of a token.
const TOKEN: u64 = 12;
const LETTER: u64 = 3;
const LETTER_OF_LONG_STRING: u64 = 8;
const DIGIT: u64 = 8;
const PUNCTUATION: u64 = 8;
/// Latin letters with marks, Greek, Cyrillic, Hebrew, Arabic: two bytes in UTF-8.
const TWO_BYTES: u64 = 9;
/// Chinese, Japanese, Korean, Indic scripts: three bytes.
const THREE_BYTES: u64 = 15;
/// Emoji and rare characters: four bytes.
const FOUR_BYTES: u64 = 36;
/// Letters and digits in a row that are a word. A longer string is no word.
const WORD: u32 = 14;

/// Bytes of a provider's data for each token of the reasoning that it is.
const BYTES_OF_DATA: u64 = 6;

/// Tokens of the marks around a part of a message.
const MARKS: u64 = 6;
/// Tokens of the marks around a tool.
const TOOL_MARKS: u64 = 16;
/// Tokens that providers add to a request with tools.
const TOOLS: u64 = 500;

/// Estimates the tokens of a text.
#[must_use]
pub fn text_tokens(text: &str) -> u64 {
    let mut weight = 0;
    let mut run = 0_u32;
    for c in text.chars() {
        run = if c.is_ascii_alphanumeric() { run + 1 } else { 0 };
        weight += match c {
            'a'..='z' | 'A'..='Z' if run > WORD => LETTER_OF_LONG_STRING,
            'a'..='z' | 'A'..='Z' | ' ' | '\n' | '\t' | '\r' => LETTER,
            '0'..='9' => DIGIT,
            _ => match c.len_utf8() {
                1 => PUNCTUATION,
                2 => TWO_BYTES,
                3 => THREE_BYTES,
                _ => FOUR_BYTES,
            },
        };
    }
    weight.div_ceil(TOKEN)
}

/// Estimates the tokens of a message.
#[must_use]
pub fn message_tokens(message: &Message) -> u64 {
    message.parts.iter().map(part_tokens).sum()
}

/// Estimates the tokens of a part of a message.
#[must_use]
pub fn part_tokens(part: &Part) -> u64 {
    MARKS
        + match part {
            Part::Text { text } => text_tokens(text),
            Part::File(file) => {
                text_tokens(&file.description) + file.bytes.as_ref().map_or(0, |bytes| bytes.tokens)
            }
            Part::Reasoning(reasoning) => {
                let data = reasoning.origin.data.as_ref().map_or(0, String::len) as u64;
                text_tokens(&reasoning.text) + data / BYTES_OF_DATA
            }
            Part::ToolCall(call) => text_tokens(&call.name) + text_tokens(&call.arguments),
            Part::ToolResult(result) => text_tokens(&result.content),
        }
}

/// Estimates the tokens of the tools that a request offers.
#[must_use]
pub fn tools_tokens(tools: &[ToolSpec]) -> u64 {
    let tool = |tool: &ToolSpec| {
        let texts = [&tool.name, &tool.description].map(|text| text_tokens(text));
        TOOL_MARKS + texts.iter().sum::<u64>() + text_tokens(&tool.parameters.to_string())
    };
    if tools.is_empty() { 0 } else { TOOLS + tools.iter().map(tool).sum::<u64>() }
}

/// Estimates the tokens of a request.
#[must_use]
pub fn request_tokens(request: &Request) -> u64 {
    let messages: u64 = request.messages.iter().map(message_tokens).sum();
    request.system.as_deref().map_or(0, text_tokens) + messages + tools_tokens(&request.tools)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of tokens as the tokenizer `o200k_base` of OpenAI counts them, or another one that counts more.
    #[test]
    fn the_estimate_is_rather_too_high_than_too_low() {
        let json = r#"{"id":"9f8e7d6c","price":12.50,"tags":["a","b"],"in_stock":true}"#;
        for (text, real) in [
            ("The quick brown fox jumps over the lazy dog.", 10),
            ("Internationalisation of the administrative procedures", 7),
            (json, 30),
            ("机器学习是人工智能的一个分支。", 14),
            ("Быстрая коричневая лиса прыгает через ленивую собаку.", 18),
            ("d41d8cd98f00b204e9800998ecf8427e", 18),
            ("SGVsbG8sIHdvcmxkISBIZWxsbywgd29ybGQh", 18),
            ("🦀🦀🦀", 9),
        ] {
            let estimate = text_tokens(text);
            assert!((real..=real * 5 / 2).contains(&estimate), "{text}: {estimate} for {real}");
        }
    }

    #[test]
    fn tools_count() {
        let tool = ToolSpec {
            name: "fetch".into(),
            description: "Fetches a page.".into(),
            parameters: serde_json::json!({"type": "object"}),
        };
        assert_eq!(tools_tokens(&[]), 0);
        assert!(tools_tokens(&[tool]) > TOOLS + TOOL_MARKS);
    }
}
