//! Prices of Amazon Bedrock, which are those of the models' makers.

use super::{Price, listed, without_version};

/// Returns the price of one of Anthropic's models by its id on Bedrock, such as
/// `eu.anthropic.claude-sonnet-4-5-20250929-v1:0`. Other models have no price in the list.
///
/// Only the profile `global` has Anthropic's own price. Those of a geography, and the models of one Region, cost a tenth
/// more (<https://platform.claude.com/docs/en/about-claude/pricing>).
pub(super) fn price(id: &str) -> Option<Price> {
    let (geography, name) = id.split_once("anthropic.")?;
    let name = without_revision(name);
    let price = listed(name).or_else(|| listed(without_version(name)))?;
    match geography {
        "global." => Some(price),
        _ if geography.is_empty() || is_geography(geography) => Some(with_premium(price)),
        _ => None,
    }
}

/// Returns `true` if this is the beginning of a profile's id.
fn is_geography(beginning: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    beginning.strip_suffix('.').is_some_and(|name| !name.is_empty() && name.bytes().all(allowed))
}

/// Removes `-v1` and `-v1:0`.
fn without_revision(name: &str) -> &str {
    let Some((plain, revision)) = name.rsplit_once("-v") else { return name };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if revision.split(':').all(is_number) { plain } else { name }
}

fn with_premium(price: Price) -> Price {
    let more = |price: u64| (price * 11).div_ceil(10);
    Price {
        input: more(price.input),
        cached_input: price.cached_input.map(more),
        cache_write: price.cache_write.map(more),
        output: more(price.output),
        max_output: price.max_output,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_costs_a_tenth_more_unless_it_may_be_anywhere() {
        let own = listed("claude-sonnet-4-5").unwrap();
        assert_eq!(price("global.anthropic.claude-sonnet-4-5-20250929-v1:0"), Some(own));
        let dearer = Price {
            input: 3_300_000,
            cached_input: Some(330_000),
            cache_write: Some(4_125_000),
            output: 16_500_000,
            ..own
        };
        for id in [
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "us-gov.anthropic.claude-sonnet-4-5",
            "apac.anthropic.claude-sonnet-4-5-v1",
        ] {
            assert_eq!(price(id), Some(dearer), "{id}");
        }
        for id in [
            "amazon.nova-pro-v1:0",
            "claude-sonnet-4-5",
            "x/y.anthropic.claude-sonnet-4-5",
            "anthropic.new-v1",
        ] {
            assert_eq!(price(id), None, "{id}");
        }
    }
}
