//! The credits that the lines of an invoice buy, or return.

use std::collections::BTreeMap;

use sequent_core::MicroCredits;
use sequent_stripe::{
    Line, Price,
    price::{Amount, SCALE},
};

/// The bill of a price for a part of time: a line, or the sum of the lines of its tiers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Billed {
    pub(crate) quantity: i64,
    /// In the currency's minor unit; negative for a credit.
    pub(crate) amount: i64,
    is_proration: bool,
    /// Number of lines. Stripe rounds the amount of each.
    lines: u16,
}

/// The item of a subscription, the start and the end of the time, and `true` for a correction.
type Part<'a> = (Option<&'a str>, i64, i64, bool);

impl Billed {
    /// Adds up the lines of a price.
    ///
    /// Stripe bills a price with tiers in several lines: one for the units of each tier, and one with the quantity zero for the
    /// flat amount of each. Only their sum compares with the amount of a quantity. A charge and a credit for the same time
    /// remain apart. A line of a price without tiers is complete.
    pub(crate) fn of(lines: &[&Line], price: Option<&Price>) -> Vec<Self> {
        if price.is_some_and(|price| price.tiers_mode.is_none()) {
            return lines.iter().map(|line| Self::default().and(line)).collect();
        }
        let mut bills: BTreeMap<(Part<'_>, i64), Self> = BTreeMap::new();
        let signed = lines.iter().filter(|line| sign(line) != 0);
        let free = lines.iter().filter(|line| sign(line) == 0);
        for line in signed.chain(free) {
            let part = part_of(line);
            // The line of a free tier belongs to the charge, if there is one.
            let side = match sign(line) {
                0 => [1, -1].into_iter().find(|side| bills.contains_key(&(part, *side))).unwrap_or(0),
                sign => sign,
            };
            let bill = bills.entry((part, side)).or_default();
            *bill = bill.and(line);
        }
        bills.into_values().collect()
    }

    fn and(self, line: &Line) -> Self {
        Self {
            quantity: self.quantity.saturating_add(line.quantity.unwrap_or(1)),
            amount: self.amount.saturating_add(line.amount),
            is_proration: line.is_proration(),
            lines: self.lines.saturating_add(1),
        }
    }

    /// Returns the micro-credits of the bill if its price buys `each` for a unit. `whole` is the amount of the quantity for a
    /// whole period, if it is known. Returns `None` if it is needed and not known.
    ///
    /// A bill buys the part of the credits that its amount is of the whole amount: a full period buys all, a trial none, and a
    /// change within a period the part that is left. A negative amount returns credits in the same proportion, so that the two
    /// bills of a change buy the difference. A discount is not part of the amount: a coupon pays as well.
    pub(crate) fn credits(self, each: MicroCredits, whole: Option<Amount>) -> Option<i128> {
        let full = i128::from(each.0).saturating_mul(i128::from(self.quantity));
        match whole {
            Some(whole) if whole > 0 => Some(part(full, self.unrounded(whole), whole)),
            // A change from or to a price of zero corrects nothing that was paid for.
            Some(_) if self.amount == 0 => Some(if self.is_proration { 0 } else { full }),
            // A few cents for the rest of a period must not buy, or return, the credits of all of it.
            _ if self.is_proration && self.amount != 0 => None,
            // The sign alone distinguishes a period that is paid for, a trial, and a return.
            _ => Some(full * i128::from(self.amount.signum())),
        }
    }

    /// Returns the amount as it was before Stripe rounded it, if it is the whole amount. Other amounts remain rounded.
    fn unrounded(self, whole: Amount) -> Amount {
        let amount = i128::from(self.amount) * SCALE;
        let rounding = i128::from(self.lines) * SCALE / 2;
        let is_whole = amount != 0 && (amount.abs() - whole).abs() <= rounding;
        if is_whole { whole * amount.signum() } else { amount }
    }
}

/// Returns 1 for a charge, -1 for a credit, and 0 if the line may belong to either.
fn sign(line: &Line) -> i64 {
    if line.is_credit() { -1 } else { line.amount.signum() }
}

fn part_of(line: &Line) -> Part<'_> {
    (line.subscription_item(), line.period.start, line.period.end, line.is_proration())
}

/// Returns `full * amount / whole`, without an overflow on the way.
fn part(full: i128, amount: Amount, whole: Amount) -> i128 {
    let common = common_divisor(amount.abs(), whole);
    full.saturating_mul(amount / common) / (whole / common)
}

fn common_divisor(a: i128, b: i128) -> i128 {
    if b == 0 { a.max(1) } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const EACH: MicroCredits = MicroCredits(1000);

    fn line(quantity: i64, amount: i64, origin: &Value) -> Line {
        let value = json!({
            "id": "il_1", "amount": amount, "quantity": quantity, "period": {"start": 0, "end": 1},
            "parent": {"subscription_item_details": origin},
        });
        serde_json::from_value(value).unwrap()
    }

    fn billed(quantity: i64, amount: i64, proration: bool) -> Billed {
        Billed::default().and(&line(quantity, amount, &json!({"proration": proration})))
    }

    /// The credits of prorations whose unit costs 300 in a whole period.
    fn sum(lines: &[(i64, i64)]) -> i128 {
        let of = |(quantity, amount): &(i64, i64)| {
            let whole = i128::from(*quantity) * 300 * SCALE;
            billed(*quantity, *amount, true).credits(EACH, Some(whole)).unwrap()
        };
        lines.iter().map(of).sum()
    }

    #[test]
    fn the_two_lines_of_a_change_buy_the_difference() {
        assert_eq!(sum(&[(5, -1500), (6, 1800)]), 1000);
        assert_eq!(sum(&[(6, -1800), (5, 1500)]), -1000);
        assert_eq!(sum(&[(5, -750), (6, 900)]), 500, "half of the period is left");
    }

    #[test]
    fn a_bill_buys_the_part_that_it_is_of_a_whole_period() {
        let cent = |decimals: i128| Some(decimals * SCALE / 10);
        let quarters = billed(40, 10, false).credits(EACH, cent(100));
        assert_eq!(quarters, Some(40_000), "a unit costs a quarter of a cent");
        let rounded = [(30, 8), (33, 8)].map(|(quantity, amount)| {
            billed(quantity, amount, false).credits(EACH, Some(i128::from(quantity) * SCALE / 4))
        });
        assert_eq!(rounded, [Some(30_000), Some(33_000)], "7.5 and 8.25 cents are billed as 8");
        assert_eq!(billed(3, 0, false).credits(EACH, cent(9000)), Some(0), "a trial");
        assert_eq!(billed(3, 0, false).credits(EACH, Some(0)), Some(3000), "a price of zero");
        assert_eq!(billed(3, 0, true).credits(EACH, Some(0)), Some(0), "a change to a price of zero");
        let largest = MicroCredits(i64::MAX);
        assert_eq!(billed(1, 2000, false).credits(largest, cent(20_000)), Some(i64::MAX.into()));
    }

    #[test]
    fn a_proration_of_an_unknown_amount_has_no_credits() {
        for amount in [1, 900, -900] {
            assert_eq!(billed(3, amount, true).credits(EACH, None), None);
            assert_eq!(billed(3, amount, true).credits(EACH, Some(0)), None);
        }
        assert_eq!(billed(3, 0, true).credits(EACH, None), Some(0), "nothing was paid");
        assert_eq!(billed(3, 0, false).credits(EACH, None), Some(0), "a trial");
        assert_eq!(billed(3, 900, false).credits(EACH, None), Some(3000), "a whole period");
    }

    /// The price of a real bill: 1000 units for a flat $9.00, and each further one for 3.6 cents.
    fn tiered() -> Price {
        let tiers = json!([
            {"up_to": 1000, "unit_amount": 0, "flat_amount": 900},
            {"up_to": null, "unit_amount_decimal": "3.6", "flat_amount": 0},
        ]);
        let price = json!({"id": "price_1", "currency": "usd", "tiers_mode": "graduated", "tiers": tiers});
        serde_json::from_value(price).unwrap()
    }

    /// The credits of lines of [`tiered`], and the number of their bills.
    fn of_tiers(lines: &[Line]) -> (i128, usize) {
        let price = tiered();
        let bills = Billed::of(&Vec::from_iter(lines), Some(&price));
        let credits =
            bills.iter().map(|bill| bill.credits(EACH, price.amount_of(bill.quantity, "usd")).unwrap());
        (credits.sum(), bills.len())
    }

    #[test]
    fn the_lines_of_tiers_are_added_up_before_they_are_priced() {
        let period = json!({"proration": false, "subscription_item": "si_1"});
        let real = [(1000, 0), (0, 900), (31, 112), (0, 0)];
        let lines = real.map(|(quantity, amount)| line(quantity, amount, &period));
        assert_eq!(of_tiers(&lines), (1_031_000, 1));
        assert_eq!(of_tiers(&[line(1031, 1012, &period)]), (1_031_000, 1), "in one line");
        assert_eq!(of_tiers(&lines[..2]), (1_000_000, 1), "the free units of a flat tier");
        assert_eq!(of_tiers(&lines[..1]), (0, 1), "a trial");

        let other = json!({"proration": false, "subscription_item": "si_2"});
        let others = real.map(|(quantity, amount)| line(quantity, amount, &other));
        assert_eq!(of_tiers(&[lines, others].concat()), (2_062_000, 2), "of two items");
    }

    #[test]
    fn the_credit_and_the_charge_of_a_change_within_tiers_remain_apart() {
        let charge = json!({"proration": true});
        let credit = json!({"proration": true, "proration_details": {"credited_items": {"invoice": "in_1"}}});
        // Half of the period is left: 1031 units are returned and 1131 are bought.
        let returned = [(1000, 0), (0, -450), (31, -56), (0, 0)];
        let bought = [(1000, 0), (0, 450), (131, 236), (0, 0)];
        let lines = [
            returned.map(|(quantity, amount)| line(quantity, amount, &credit)),
            bought.map(|(quantity, amount)| line(quantity, amount, &charge)),
        ];
        let (credits, bills) = of_tiers(&lines.concat());
        assert!((49_000..=51_000).contains(&credits) && bills == 2, "{credits} credits of {bills} bills");
        let ended = of_tiers(&returned.map(|(quantity, amount)| line(quantity, amount, &charge)));
        assert!((-516_000..=-515_000).contains(&ended.0) && ended.1 == 1, "{ended:?}");
    }
}
