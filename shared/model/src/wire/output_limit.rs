//! The limit of the output that a server takes, as its refusal of a higher one states it.

/// Names of the limit in the errors of servers.
const NAMES: [&str; 5] =
    ["max_tokens", "max_completion_tokens", "max_output_tokens", "maxtokens", "maximum tokens"];
/// Phrases of refusals of the parameter itself.
const NOT_LIMITS: [&str; 3] = ["unsupported", "not support", "unrecognized"];
/// A limit that a refusal states is at least this. Smaller numbers in it mean something else, such as a place or a version.
const LEAST: u32 = 1000;

/// Returns the highest limit below `sent` that the error states, or `None` if it is not about the limit.
pub(crate) fn stated_limit(error: &str, sent: u32) -> Option<u32> {
    let error = error.to_ascii_lowercase();
    // The date in a model's name would be taken for the limit.
    let is_of_name = NOT_LIMITS.iter().any(|phrase| error.contains(phrase));
    if is_of_name || !NAMES.iter().any(|name| error.contains(name)) {
        return None;
    }
    let numbers = error.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
    numbers.filter(|number| (LEAST..sent).contains(number)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_a_server_is_read_from_its_refusal_of_a_higher_one() {
        for (error, limit) in [
            ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", Some(8192)),
            (
                "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.",
                Some(16_384),
            ),
            (
                "max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens for claude-sonnet-4-20250514",
                Some(64_000),
            ),
            (
                "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value that is lower than 4096.",
                Some(4096),
            ),
            ("Unsupported parameter: 'max_tokens' is not supported with this model.", None),
            ("Unsupported parameter: 'max_tokens' is not supported with gpt-4o-2024-08-06.", None),
            ("`max_tokens` must be greater than `thinking.budget_tokens`", None),
            ("messages.12.content.2048: too many", None),
        ] {
            assert_eq!(stated_limit(error, 100_000), limit, "{error}");
        }
    }
}
