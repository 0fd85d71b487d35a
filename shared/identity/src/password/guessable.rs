//! New passwords that an attacker tries first.
//!
//! zxcvbn has lists of 30,000 common passwords, 30,000 words and 30,000 names, titles and phrases, and estimates the
//! guesses that a password needs.

use zxcvbn::{matching::patterns::MatchPattern, zxcvbn};

/// Number of characters that are judged. The time of the estimate grows with the square of the length.
const JUDGED_CHARS: usize = 100;
/// The number of guesses, as a power of ten, that a new password must withstand. zxcvbn calls less too weak for an
/// attacker who has the hash. Every entry of the lists needs fewer.
const MIN_GUESSES_LOG10: f64 = 8.0;
/// The name of the service, which is guessed like the names of its users.
const SERVICE: &str = "sequent";
/// Number of digits and signs around a word that do not make it hard to guess.
const DECORATION: usize = 6;

/// Returns `true` if the password of the account with this address is too easy to guess.
pub(super) fn is_guessable(password: &str, address: &str) -> bool {
    let beginning: String = password.chars().take(JUDGED_CHARS).collect();
    let name = address.split('@').next().unwrap_or_default();
    let context = [address, name, SERVICE];
    zxcvbn(&beginning, &context).guesses_log10() < MIN_GUESSES_LOG10 || is_decorated(&beginning, &context)
}

/// Returns `true` if the password is one entry of a list with a few digits or signs before and after it. The estimate
/// counts each sign as a guess among ten, but people choose few of them.
fn is_decorated(password: &str, context: &[&str]) -> bool {
    let word = password.trim_matches(|character: char| !character.is_alphabetic());
    let decoration = password.chars().count() - word.chars().count();
    if word.is_empty() || decoration > DECORATION {
        return false;
    }
    match zxcvbn(word, context).sequence() {
        [only] => matches!(only.pattern, MatchPattern::Dictionary(_)),
        _ => false,
    }
}
