//! The prices of tokens, as integers.
//!
//! Prices are micro-dollars per million tokens: USD 2.50 per million is `2_500_000`, so no price needs a
//! fraction. The cost of an answer is the exact sum of `tokens * price`, divided once by a million and
//! **rounded up** to a whole micro-dollar. So an answer with a priced token never costs zero, and rounding
//! errors do not add up.
//!
//! The built-in list contains the providers' public prices for ordinary use (not batch, not priority), as of
//! November 2026. Prices change, and self-hosted models have other prices, so a [`Table`] accepts overrides, and an operator
//! can replace them while the functions run ([`Prices`]).
//! The cost of a model without a known price is `None`, which is different from a cost of zero.

mod bedrock;

use std::collections::HashMap;

use sequent_core::MicroUsd;
use sequent_tables::SecretName;
use serde::{Deserialize, Serialize};

use crate::{
    ModelName, Provider, Usage,
    operator_table::{OperatorTable, Replaceable},
};

/// The prices of a deployment. Clones share them.
pub type Prices = OperatorTable<Table>;

/// Prices of one model, in micro-dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Input that is not cached by the provider.
    pub input: u64,
    /// Cached input. The default is the price of other input.
    #[serde(default)]
    pub cached_input: Option<u64>,
    /// Input that the provider writes to its cache. The default is the price of other input.
    #[serde(default)]
    pub cache_write: Option<u64>,
    /// Output, including the reasoning.
    pub output: u64,
    /// The highest `max_output_tokens` that the model accepts. The default is that it accepts all that are sent.
    #[serde(default)]
    pub max_output: Option<u32>,
}

impl Price {
    const fn new(input: u64, cached_input: u64, output: u64) -> Self {
        Self { input, cached_input: Some(cached_input), cache_write: None, output, max_output: None }
    }

    /// A model of Anthropic. Writing to its cache, which keeps for five minutes, costs a quarter more than other input.
    const fn anthropic(input: u64, cached_input: u64, output: u64) -> Self {
        Self { cache_write: Some(input + input / 4), ..Self::new(input, cached_input, output) }
    }

    const fn accepting(self, max_output: u32) -> Self {
        Self { max_output: Some(max_output), ..self }
    }

    /// Returns the tokens of output that `left` pays for after `input_tokens` of input. Returns `None` if it does not
    /// even pay for the input.
    #[must_use]
    pub fn output_for(&self, left: MicroUsd, input_tokens: u64) -> Option<u64> {
        let input_price = self.input.max(self.cached_input.unwrap_or(0)).max(self.cache_write.unwrap_or(0));
        let input = u128::from(input_tokens) * u128::from(input_price);
        let rest = (u128::from(left.0) * 1_000_000).checked_sub(input)?;
        let tokens = rest.checked_div(u128::from(self.output)).unwrap_or(u128::MAX);
        Some(u64::try_from(tokens).unwrap_or(u64::MAX))
    }

    /// Returns the cost of `usage`, rounded up. Saturates instead of overflowing.
    pub fn cost(&self, usage: &Usage) -> MicroUsd {
        // A provider may report more cached tokens than input tokens.
        let cached = usage.cached_input_tokens.min(usage.input_tokens);
        let written = usage.cache_write_tokens.min(usage.input_tokens - cached);
        let fresh = usage.input_tokens - cached - written;
        let parts = [
            (fresh, self.input),
            (cached, self.cached_input.unwrap_or(self.input)),
            (written, self.cache_write.unwrap_or(self.input)),
            (usage.output_tokens, self.output),
        ];
        // Each product of two u64 fits a u128, but their sum may not.
        let total = parts
            .iter()
            .map(|(tokens, price)| u128::from(*tokens) * u128::from(*price))
            .fold(0_u128, u128::saturating_add);
        MicroUsd(u64::try_from(total.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}

/// The built-in prices and a deployment's overrides.
#[derive(Clone, Debug, Default)]
pub struct Table {
    overrides: HashMap<String, Price>,
}

impl Table {
    /// Parses overrides: `{"my-model": {"input": 150000, "cached_input": 75000, "cache_write": 187500, "output": 600000,
    /// "max_output": 4096}}`.
    /// All but the prices of input and output are optional.
    ///
    /// # Errors
    /// If the JSON is not such an object.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        let overrides = serde_json::from_str(json)?;
        Ok(Self { overrides })
    }

    /// Reads overrides from `MODEL_PRICES`, see [`config`](crate::config).
    ///
    /// # Errors
    /// If the variable is not valid.
    pub fn from_env() -> Result<Self, serde_json::Error> {
        match std::env::var("MODEL_PRICES").ok().filter(|json| !json.is_empty()) {
            Some(json) => Self::from_json(&json),
            None => Ok(Self::default()),
        }
    }

    /// Returns `true` if the price of `model` is known. The demo costs nothing unless it has a price.
    #[must_use]
    pub fn knows(&self, model: &str) -> bool {
        model.parse::<ModelName>().is_ok_and(|name| {
            let (provider, plain) = name.split();
            provider == Provider::Demo || self.get(plain).is_some()
        })
    }

    /// Estimates the cost of a first call with `bytes` of text: the text, a typical prompt around it, and an
    /// answer of typical length. Returns zero if the price is not known.
    pub fn first_call(&self, model: &str, bytes: usize) -> MicroUsd {
        let name = model.parse::<ModelName>();
        let price = name.ok().and_then(|name| self.get(name.split().1));
        let input_tokens = 1_000 + bytes as u64 / 3;
        price.map_or(MicroUsd(0), |price| {
            price.cost(&Usage { input_tokens, output_tokens: 1_000, ..Usage::default() })
        })
    }

    /// Returns the price of a model, by the provider's name. A name with a date (`gpt-4o-2024-08-06`,
    /// `claude-haiku-4-5-20251001`) or `-latest` has the price of the plain name unless it is listed itself. Names of Bedrock
    /// have the price of the model that they contain.
    pub fn get(&self, model: &str) -> Option<Price> {
        let overridden = |name: &str| self.overrides.get(name).copied();
        let plain = without_version(model);
        let known = overridden(model).or_else(|| listed(model)).or_else(|| overridden(plain));
        known.or_else(|| listed(plain)).or_else(|| bedrock::price(model))
    }
}

impl Replaceable for Table {
    const STORED: SecretName = SecretName::Prices;
    type InvalidTable = serde_json::Error;

    fn with_json(&self, json: &str) -> Result<Self, serde_json::Error> {
        let mut overrides = self.overrides.clone();
        overrides.extend(Self::from_json(json)?.overrides);
        Ok(Self { overrides })
    }
}

/// The prices of a deployment's models, for a process that does not ask them.
#[derive(Clone, Debug, Default)]
pub struct Pricing {
    /// The prices by model.
    pub table: Table,
    /// The model of requests that name none, if it is known.
    pub default_model: Option<ModelName>,
}

impl Pricing {
    /// Returns the cost of `usage`, or `None` if the model has no known price. The demo costs nothing unless it has a price.
    #[must_use]
    pub fn cost(&self, model: &ModelName, usage: &Usage) -> Option<MicroUsd> {
        let (provider, name) = model.split();
        match self.table.get(name) {
            None if provider == Provider::Demo => Some(MicroUsd(0)),
            price => price.map(|price| price.cost(usage)),
        }
    }
}

fn listed(model: &str) -> Option<Price> {
    let found = LIST.iter().find(|(name, _)| *name == model);
    found.map(|(_, price)| *price)
}

/// Removes `-YYYY-MM-DD`, `-YYYYMMDD` or `-latest`.
fn without_version(model: &str) -> &str {
    if let Some(plain) = model.strip_suffix("-latest") {
        return plain;
    }
    for (length, pattern) in [(11, "-dddd-dd-dd"), (9, "-dddddddd")] {
        let Some((plain, suffix)) = model.len().checked_sub(length).and_then(|at| model.split_at_checked(at))
        else {
            continue;
        };
        let matches = |(byte, form): (u8, u8)| match form {
            b'd' => byte.is_ascii_digit(),
            form => byte == form,
        };
        if !plain.is_empty() && suffix.bytes().zip(pattern.bytes()).all(matches) {
            return plain;
        }
    }
    model
}

const LIST: &[(&str, Price)] = &[
    ("gpt-4o", Price::new(2_500_000, 1_250_000, 10_000_000).accepting(16_384)),
    ("gpt-4o-mini", Price::new(150_000, 75_000, 600_000).accepting(16_384)),
    ("gpt-4.1", Price::new(2_000_000, 500_000, 8_000_000)),
    ("gpt-4.1-mini", Price::new(400_000, 100_000, 1_600_000)),
    ("gpt-4.1-nano", Price::new(100_000, 25_000, 400_000)),
    ("gpt-5", Price::new(1_250_000, 125_000, 10_000_000)),
    ("gpt-5-chat", Price::new(1_250_000, 125_000, 10_000_000)),
    ("gpt-5-mini", Price::new(250_000, 25_000, 2_000_000)),
    ("gpt-5-nano", Price::new(50_000, 5_000, 400_000)),
    ("gpt-5.1", Price::new(1_250_000, 125_000, 10_000_000)),
    ("gpt-5.1-chat", Price::new(1_250_000, 125_000, 10_000_000)),
    ("gpt-5.2", Price::new(1_750_000, 175_000, 14_000_000)),
    ("gpt-5.2-chat", Price::new(1_750_000, 175_000, 14_000_000)),
    ("gpt-5.4", Price::new(2_500_000, 250_000, 15_000_000)),
    ("gpt-5.4-mini", Price::new(750_000, 75_000, 4_500_000)),
    ("gpt-5.4-nano", Price::new(200_000, 20_000, 1_250_000)),
    ("gpt-5.5", Price::new(5_000_000, 500_000, 30_000_000)),
    ("gpt-5.6", Price::new(4_000_000, 400_000, 20_000_000)),
    ("gpt-5.6-sol", Price::new(4_000_000, 400_000, 20_000_000)),
    ("gpt-5.6-terra", Price::new(2_000_000, 200_000, 12_000_000)),
    ("gpt-5.6-luna", Price::new(200_000, 20_000, 1_200_000)),
    ("gpt-6-astra", Price::new(10_000_000, 1_000_000, 50_000_000)),
    ("gpt-6-sol", Price::new(2_000_000, 200_000, 10_000_000)),
    ("gpt-6-luna", Price::new(100_000, 10_000, 500_000)),
    ("gpt-6.1-sol", Price::new(2_000_000, 100_000, 10_000_000)),
    ("gpt-6.1-terra", Price::new(1_000_000, 50_000, 5_000_000)),
    ("o1", Price::new(15_000_000, 7_500_000, 60_000_000)),
    ("o3", Price::new(2_000_000, 500_000, 8_000_000)),
    ("o3-mini", Price::new(1_100_000, 550_000, 4_400_000)),
    ("o4-mini", Price::new(1_100_000, 275_000, 4_400_000)),
    ("claude-haiku-4-5", Price::anthropic(1_000_000, 100_000, 5_000_000)),
    ("claude-haiku-5-5", Price::anthropic(100_000, 10_000, 500_000)),
    ("claude-sonnet-4-5", Price::anthropic(3_000_000, 300_000, 15_000_000)),
    ("claude-sonnet-4-6", Price::anthropic(3_000_000, 300_000, 15_000_000)),
    ("claude-sonnet-5", Price::anthropic(2_000_000, 200_000, 10_000_000)),
    ("claude-sonnet-5-5", Price::anthropic(2_000_000, 100_000, 10_000_000)),
    ("claude-opus-4-5", Price::anthropic(5_000_000, 500_000, 25_000_000)),
    ("claude-opus-4-6", Price::anthropic(5_000_000, 500_000, 25_000_000)),
    ("claude-opus-4-7", Price::anthropic(5_000_000, 500_000, 25_000_000)),
    ("claude-opus-4-8", Price::anthropic(5_000_000, 500_000, 25_000_000)),
    ("claude-opus-5", Price::anthropic(5_000_000, 500_000, 25_000_000)),
    ("claude-opus-5-5", Price::anthropic(4_000_000, 200_000, 20_000_000)),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usage(input: u64, cached: u64, output: u64) -> Usage {
        Usage { input_tokens: input, cached_input_tokens: cached, output_tokens: output, ..Usage::default() }
    }

    #[test]
    fn costs_are_exact_and_rounded_up_once() {
        let price = Table::default().get("gpt-4o").unwrap();
        // 1000 * 2.50 + 500 * 10 dollars per million are 0.0075 dollars.
        assert_eq!(price.cost(&usage(1000, 0, 500)), MicroUsd(7500));
        assert_eq!(price.cost(&usage(1000, 400, 500)), MicroUsd(7000));
        let cheap = Price::new(50_000, 5_000, 400_000);
        // 0.05 + 0.4 micro-dollars: one, not two.
        assert_eq!(cheap.cost(&usage(1, 0, 1)), MicroUsd(1));
        assert_eq!(cheap.cost(&usage(0, 0, 0)), MicroUsd(0));
        assert_eq!(cheap.cost(&usage(1, 9, 0)), MicroUsd(1));
    }

    #[test]
    fn writing_to_a_cache_has_a_price_of_its_own() {
        let price = Table::default().get("claude-sonnet-4-6").unwrap();
        let used = Usage { cache_write_tokens: 400, ..usage(1000, 500, 0) };
        // 100 * 3 + 500 * 0.30 + 400 * 3.75 dollars per million.
        assert_eq!(price.cost(&used), MicroUsd(1950));
        let table =
            Table::from_json(r#"{"own": {"input": 1000000, "output": 0, "cache_write": 3000000}}"#).unwrap();
        assert_eq!(table.get("own").unwrap().cost(&used), MicroUsd(600 + 1200));
        assert_eq!(
            table.get("own").unwrap().output_for(MicroUsd(2999), 1000),
            None,
            "all of it may be written"
        );
        // More than all of the input is not counted twice.
        assert_eq!(
            price.cost(&Usage { cache_write_tokens: 9000, ..usage(1000, 500, 0) }),
            MicroUsd(150 + 1875)
        );
    }

    #[test]
    fn a_dated_name_has_the_price_of_the_plain_name() {
        let table = Table::default();
        for (name, plain) in [
            ("gpt-4o-2024-08-06", "gpt-4o"),
            ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
            ("gpt-5.2-chat-latest", "gpt-5.2-chat"),
        ] {
            assert!(table.get(plain).is_some());
            assert_eq!(table.get(name), table.get(plain), "{name}");
        }
        for name in ["llama-4", "gpt-4o-audio-preview", "claude-opus-4-99", "", "-20251001", "日本語日本語"]
        {
            assert_eq!(table.get(name), None, "{name}");
        }
    }

    #[test]
    fn overrides_take_precedence() {
        let json =
            r#"{"gpt-4o": {"input": 1, "output": 2}, "own": {"input": 3, "cached_input": 1, "output": 4}}"#;
        let table = Table::from_json(json).unwrap();
        let price = table.get("gpt-4o-2024-08-06").unwrap();
        assert_eq!((price.input, price.cached_input, price.output), (1, None, 2));
        assert_eq!(price.cost(&usage(1_000_000, 1_000_000, 0)), MicroUsd(1));
        assert_eq!(table.get("own"), Some(Price::new(3, 1, 4)));
        for invalid in [r#"{"a": {"input": 0.5, "output": 1}}"#, r#"{"a": {"input": -1, "output": 1}}"#] {
            assert!(Table::from_json(invalid).is_err());
        }
    }

    #[test]
    fn the_names_in_the_list_are_unique() {
        let mut names: Vec<_> = LIST.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), LIST.len());
    }

    proptest! {
        #[test]
        fn rounding_adds_less_than_one_unit(
            input in 0..10_000_000_u64, cached in 0..10_000_000_u64, output in 0..10_000_000_u64,
            prices in (0..100_000_000_u64, 0..100_000_000_u64, 0..1_000_000_000_u64),
        ) {
            let cached = cached.min(input);
            let price = Price::new(prices.0, prices.1, prices.2);
            let exact = u128::from(input - cached) * u128::from(prices.0)
                + u128::from(cached) * u128::from(prices.1)
                + u128::from(output) * u128::from(prices.2);
            let charged = u128::from(price.cost(&usage(input, cached, output)).0) * 1_000_000;
            prop_assert!(charged >= exact && charged - exact < 1_000_000);
        }

        #[test]
        fn the_output_that_is_paid_for_costs_no_more_than_what_is_left(
            left in 0..10_000_000_u64, input in 0..1_000_000_u64, cached in 0..1_000_000_u64,
            prices in (0..100_000_000_u64, 0..100_000_000_u64, 1..1_000_000_000_u64),
        ) {
            let price = Price::new(prices.0, prices.1, prices.2);
            if let Some(output) = price.output_for(MicroUsd(left), input) {
                prop_assert!(price.cost(&usage(input, cached, output)).0 <= left);
                prop_assert!(price.cost(&usage(input, 0, output + 1)).0 > left || prices.0 < prices.1);
            }
        }

        #[test]
        fn more_usage_never_costs_less(
            input: u64, cached: u64, output: u64, more in 0..1000_u64, prices: (u64, u64, u64),
        ) {
            let price = Price::new(prices.0, prices.1, prices.2);
            let one = price.cost(&usage(input, cached, output));
            let two = price.cost(&usage(input, cached, output.saturating_add(more)));
            prop_assert!(two >= one);
        }
    }
}
