//! Prices, and the amount of a quantity: per unit, in parts of a cent, in packages or in tiers.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Number of [`Amount`]s in the minor unit of a currency. Stripe's decimals have at most twelve places
/// (<https://docs.stripe.com/api/prices/object#price_object-unit_amount_decimal>).
pub const SCALE: i128 = 1_000_000_000_000;

/// An amount of money, in parts of [`SCALE`] of the currency's minor unit.
pub type Amount = i128;

/// A price and its currencies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Price {
    pub id: String,
    /// Default currency.
    pub currency: String,
    /// Amount of one unit in the currency's minor unit. `None` if it has a fraction, or depends on the quantity.
    pub unit_amount: Option<i64>,
    /// The same as a decimal number.
    pub unit_amount_decimal: Option<String>,
    /// Amounts by quantity, if the request expanded them.
    pub tiers: Option<Vec<Tier>>,
    /// Rates in other currencies.
    #[serde(default)]
    pub currency_options: BTreeMap<String, Rate>,
    pub tiers_mode: Option<TiersMode>,
    /// Units that are sold together. One at a time if missing.
    pub transform_quantity: Option<Package>,
}

/// The amounts of a price in one currency, as in [`Price`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Rate {
    pub unit_amount: Option<i64>,
    pub unit_amount_decimal: Option<String>,
    pub tiers: Option<Vec<Tier>>,
}

/// A range of quantities with one rate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Tier {
    /// The last unit of the tier. `None` for the last tier.
    pub up_to: Option<i64>,
    /// Amount of one unit in the currency's minor unit.
    pub unit_amount: Option<i64>,
    /// The same as a decimal number.
    pub unit_amount_decimal: Option<String>,
    /// Amount for the tier as a whole.
    pub flat_amount: Option<i64>,
    /// The same as a decimal number.
    pub flat_amount_decimal: Option<String>,
}

/// The meaning of tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TiersMode {
    /// Each unit costs the rate of its own tier.
    Graduated,
    /// All units cost the rate of the tier that the last unit is in.
    Volume,
}

/// Units that are sold together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Package {
    /// Units of a package.
    pub divide_by: i64,
    /// `up` or `down`, for the part of a package.
    pub round: String,
}

impl Price {
    /// Returns the amount of `quantity` units for a whole period in `currency`. Returns `None` if the price does not have the
    /// currency, or if it has tiers that the request did not expand.
    #[must_use]
    pub fn amount_of(&self, quantity: i64, currency: &str) -> Option<Amount> {
        let rate = self.rate(currency)?;
        let quantity = self.transform_quantity.as_ref().map_or(quantity, |package| package.count(quantity));
        if let Some(unit) = decimal(rate.unit_amount_decimal.as_deref(), rate.unit_amount) {
            return Some(unit.saturating_mul(i128::from(quantity)));
        }
        let tiers = rate.tiers.as_deref()?;
        match self.tiers_mode? {
            TiersMode::Graduated => Some(graduated(tiers, quantity)),
            TiersMode::Volume => tiers.iter().find(|tier| tier.has(quantity)).map(|tier| tier.of(quantity)),
        }
    }

    fn rate(&self, currency: &str) -> Option<Rate> {
        if self.currency != currency {
            return self.currency_options.get(currency).cloned();
        }
        let Self { unit_amount, unit_amount_decimal, tiers, .. } = self.clone();
        Some(Rate { unit_amount, unit_amount_decimal, tiers })
    }
}

impl Package {
    fn count(&self, quantity: i64) -> i64 {
        let size = self.divide_by.max(1);
        let whole = quantity / size;
        if self.round == "up" && quantity % size > 0 { whole + 1 } else { whole }
    }
}

impl Tier {
    fn has(&self, unit: i64) -> bool {
        self.up_to.is_none_or(|last| unit <= last)
    }

    /// The amount of `units` units in this tier.
    fn of(&self, units: i64) -> Amount {
        let unit = decimal(self.unit_amount_decimal.as_deref(), self.unit_amount).unwrap_or(0);
        let flat = decimal(self.flat_amount_decimal.as_deref(), self.flat_amount).unwrap_or(0);
        unit.saturating_mul(i128::from(units)).saturating_add(flat)
    }
}

fn graduated(tiers: &[Tier], quantity: i64) -> Amount {
    let mut amount: Amount = 0;
    let mut before = 0;
    for tier in tiers {
        let last = tier.up_to.map_or(quantity, |last| last.min(quantity));
        if last > before {
            amount = amount.saturating_add(tier.of(last - before));
            before = last;
        }
    }
    amount
}

/// Reads the decimal form of an amount, or else its whole number.
fn decimal(text: Option<&str>, whole: Option<i64>) -> Option<Amount> {
    text.and_then(parsed).or_else(|| whole.map(|whole| i128::from(whole) * SCALE))
}

/// Parses a decimal number such as `12.5`.
fn parsed(text: &str) -> Option<Amount> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.len() > 12 || !fraction.bytes().chain(whole.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount =
        whole.parse::<i128>().ok()?.checked_mul(SCALE)? + format!("{fraction:0<12}").parse::<i128>().ok()?;
    Some(if text.starts_with('-') { -amount } else { amount })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn price(more: serde_json::Value) -> Price {
        let mut value = json!({"id": "price_1", "currency": "usd", "unit_amount": null});
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_quantity_costs_what_stripe_bills() {
        let whole = price(json!({"unit_amount": 2000, "unit_amount_decimal": "2000"}));
        assert_eq!(whole.amount_of(3, "usd"), Some(6000 * SCALE));
        assert_eq!(whole.amount_of(3, "eur"), None);
        let parts = price(json!({"unit_amount_decimal": "0.25"}));
        assert_eq!(parts.amount_of(3, "usd"), Some(SCALE * 3 / 4));
        let tiers = json!([
            {"up_to": 5, "unit_amount": 300, "flat_amount": 1000},
            {"up_to": null, "unit_amount_decimal": "200.5"}
        ]);
        let graduated = price(json!({"tiers_mode": "graduated", "tiers": tiers}));
        let amounts = [0, 1, 5, 7].map(|quantity| graduated.amount_of(quantity, "usd").unwrap() * 10 / SCALE);
        assert_eq!(amounts, [0, 13_000, 25_000, 29_010]);
        let volume = price(json!({"tiers_mode": "volume", "tiers": tiers}));
        assert_eq!(volume.amount_of(7, "usd"), Some(14_035 * SCALE / 10));
        let packages =
            price(json!({"unit_amount": 500, "transform_quantity": {"divide_by": 100, "round": "up"}}));
        assert_eq!(packages.amount_of(101, "usd"), Some(1000 * SCALE));
        let euros =
            price(json!({"unit_amount": 1, "currency_options": {"eur": {"unit_amount_decimal": "9.5"}}}));
        assert_eq!(euros.amount_of(2, "eur"), Some(19 * SCALE));
        assert_eq!(price(json!({"tiers_mode": "graduated"})).amount_of(1, "usd"), None, "not expanded");
    }

    #[test]
    fn only_decimal_numbers_are_parsed() {
        for (text, amount) in [("12.5", 12_500_000_000_000), ("-0.000000000001", -1), ("7", 7 * SCALE)] {
            assert_eq!(parsed(text), Some(amount), "{text}");
        }
        for text in ["", "1e3", "1.2.3", "0.0000000000001", "one", "+1"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
