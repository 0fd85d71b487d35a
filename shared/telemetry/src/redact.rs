//! The removal of secrets, by name and by shape.

use std::borrow::Cow;

use http::HeaderMap;

/// The text that replaces a secret.
pub const MARK: &str = "[redacted]";

/// The words that make a name that of a secret. There is no plural, because `input_tokens` is a count.
const SECRET_WORDS: [&str; 15] = [
    "apikey",
    "authorization",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "csrf",
    "jwt",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "secret",
    "secrets",
    "token",
];

/// The words before `key` that make a name that of a secret: `api_key`, `private-key`, `signingKey`.
const SECRET_KEYS: [&str; 8] =
    ["access", "api", "cursor", "csrf", "encryption", "private", "secret", "signing"];

/// The prefixes of credentials, of this API and of other services.
const SECRET_PREFIXES: [&str; 8] = ["sk_", "sk-", "rk_", "pk_live", "whsec_", "rt_", "srt_", "hk_"];

/// Returns `true` if a field or header with this name holds a secret, in any of the usual spellings: `X-CSRF-Token`,
/// `refresh_token`, `apiKey`, `password`.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let mut previous = String::new();
    let mut word = String::new();
    let mut after_lower = false;
    for c in name.chars().chain(std::iter::once('_')) {
        let camel = c.is_ascii_uppercase() && after_lower;
        if (camel || !c.is_ascii_alphanumeric()) && !word.is_empty() {
            if is_secret_word(&previous, &word) {
                return true;
            }
            previous = std::mem::take(&mut word);
        }
        if c.is_ascii_alphanumeric() {
            word.push(c.to_ascii_lowercase());
        }
        after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    false
}

fn is_secret_word(previous: &str, word: &str) -> bool {
    SECRET_WORDS.contains(&word)
        || (matches!(word, "key" | "keys") && SECRET_KEYS.contains(&previous))
        || (word == "verify" && previous == "origin") // `x-origin-verify`, the secret between CDN and function
}

/// Removes secrets from a text: values of a secret name (`password=...`, `"token": "..."`), credentials after `Bearer`
/// or `Basic`, JWTs and API keys.
#[must_use]
pub fn scrub(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0; // everything before this index is in `out`
    let mut at = 0;
    let mut before = Before::Nothing;
    while let Some((start, end)) = next_word(text, at) {
        let word = &text[start..end];
        let between = &text[at..start];
        let secret = match before {
            Before::SecretName if is_assignment(between) => {
                if is_scheme(word) {
                    before = Before::Scheme;
                    at = end;
                    continue;
                }
                Some(value_end(text, start))
            }
            Before::Scheme if between.trim().is_empty() && word.len() >= 8 => Some(end),
            _ if is_credential(word) => Some(end),
            _ => None,
        };
        if let Some(end) = secret {
            out.push_str(&text[copied..start]);
            out.push_str(MARK);
            (copied, at, before) = (end, end, Before::Nothing);
            continue;
        }
        before = if is_scheme(word) {
            Before::Scheme
        } else if is_secret_name(word) {
            Before::SecretName
        } else {
            Before::Nothing
        };
        at = end;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Headers as a list of `name: value`, without the values of secret ones.
#[must_use]
pub fn headers(headers: &HeaderMap) -> String {
    let shown = headers.iter().map(|(name, value)| match value.to_str() {
        _ if is_secret_name(name.as_str()) => format!("{name}: {MARK}"),
        Ok(value) => format!("{name}: {}", scrub(value)),
        Err(_) => format!("{name}: [not text]"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// The last token before the position of the scanner.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    SecretName,
    Scheme,
}

/// The next run of characters that occur in names, tokens and base 64.
fn next_word(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let of_word = |b: &u8| b.is_ascii_alphanumeric() || b"_-.~+/%".contains(b);
    let start = from + bytes.get(from..)?.iter().position(of_word)?;
    let length = bytes[start..].iter().position(|b| !of_word(b)).unwrap_or(bytes.len() - start);
    Some((start, start + length))
}

/// The separator between a name and its value: `=`, `: "`, `\":\"` and similar ones.
fn is_assignment(between: &str) -> bool {
    let mut signs = between.chars().filter(|c| !matches!(c, ' ' | '"' | '\'' | '\\' | '(' | '['));
    match (signs.next(), signs.next(), signs.next()) {
        (Some('=' | ':'), None, None) | (Some('='), Some('>'), None) => true,
        // The separator may be followed by more: `password: Some("...")`, `password=@...`.
        (Some('=' | ':'), Some(_), _) => true,
        _ => false,
    }
}

/// The end of the value that begins at `start`: the closing quote if it is quoted, and else the next delimiter.
fn value_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let quote = bytes[..start].iter().rev().find(|b| !b"\\([@#!$".contains(b)).filter(|b| b"\"'".contains(b));
    let is_end = |b: u8| match quote {
        Some(quote) => b == *quote,
        None => b.is_ascii_whitespace() || b"&,;\"'})]".contains(&b),
    };
    bytes[start..].iter().position(|&b| is_end(b)).map_or(bytes.len(), |length| start + length)
}

fn is_scheme(word: &str) -> bool {
    word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic")
}

/// Returns `true` for a JWT (`eyJ` is `{"` in base 64) and for a key with a known prefix.
fn is_credential(word: &str) -> bool {
    let jwt = word.find("eyJ").is_some_and(|at| word[at..].contains('.') && word.len() - at >= 20);
    let key = SECRET_PREFIXES.iter().any(|prefix| {
        word.find(prefix).is_some_and(|at| {
            let fresh = at == 0 || !word.as_bytes()[at - 1].is_ascii_alphanumeric();
            fresh && word.len() - at >= prefix.len() + 12
        })
    });
    jwt || key
}

#[cfg(test)]
mod tests;
