//! The credits that a line of an invoice buys, or returns.

use sequent_core::MicroCredits;
use sequent_stripe::{
    Line,
    price::{Amount, SCALE},
};

/// Returns the micro-credits of a line whose price buys `each` for a unit. `whole` is the amount of the line's quantity for
/// a whole period, if it is known.
///
/// A line buys the part of the credits that its amount is of the whole amount: a full period buys all, a trial none, and a
/// change within a period the part that is left. A line with a negative amount returns credits in the same proportion, so
/// that the two lines of a change buy the difference. A discount is not part of a line's amount: a coupon pays as well.
pub(crate) fn credits(line: &Line, each: MicroCredits, whole: Option<Amount>) -> i128 {
    let full = i128::from(each.0).saturating_mul(i128::from(line.quantity.unwrap_or(1)));
    match whole {
        Some(whole) if whole > 0 => part(full, i128::from(line.amount) * SCALE, whole),
        // A change from or to a price of zero corrects nothing that was paid for.
        Some(_) if line.amount == 0 => {
            if line.is_proration() {
                0
            } else {
                full
            }
        }
        // The tiers are not known. The sign alone tells a purchase from a return.
        _ => full * i128::from(line.amount.signum()),
    }
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
    use serde_json::json;

    use super::*;

    const EACH: MicroCredits = MicroCredits(1000);

    fn line(quantity: i64, amount: i64, proration: bool) -> Line {
        let value = json!({
            "id": "il_1", "amount": amount, "quantity": quantity, "period": {"start": 0, "end": 1},
            "parent": {"subscription_item_details": {"proration": proration}},
        });
        serde_json::from_value(value).unwrap()
    }

    /// The credits of lines whose unit costs 300 in a whole period.
    fn sum(lines: &[(i64, i64)], is_known: bool) -> i128 {
        let of = |(quantity, amount): &(i64, i64)| {
            let whole = is_known.then_some(i128::from(*quantity) * 300 * SCALE);
            credits(&line(*quantity, *amount, true), EACH, whole)
        };
        lines.iter().map(of).sum()
    }

    #[test]
    fn the_two_lines_of_a_change_buy_the_difference() {
        for is_known in [true, false] {
            assert_eq!(sum(&[(5, -1500), (6, 1800)], is_known), 1000, "known tiers: {is_known}");
            assert_eq!(sum(&[(6, -1800), (5, 1500)], is_known), -1000, "known tiers: {is_known}");
        }
        assert_eq!(sum(&[(5, -750), (6, 900)], true), 500, "half of the period is left");
    }

    #[test]
    fn a_line_buys_the_part_that_it_is_of_a_whole_period() {
        let cent = |decimals: i128| Some(decimals * SCALE / 10);
        assert_eq!(
            credits(&line(40, 10, false), EACH, cent(100)),
            40_000,
            "a unit costs a quarter of a cent"
        );
        assert_eq!(credits(&line(3, 0, false), EACH, cent(9000)), 0, "a trial");
        assert_eq!(credits(&line(3, 0, false), EACH, None), 0, "a trial of a price with unknown tiers");
        assert_eq!(credits(&line(3, 0, false), EACH, Some(0)), 3000, "a price of zero");
        assert_eq!(credits(&line(3, 0, true), EACH, Some(0)), 0, "a change to a price of zero");
        assert_eq!(credits(&line(3, 900, false), EACH, None), 3000, "a period of a price with unknown tiers");
        let largest = MicroCredits(i64::MAX);
        assert_eq!(credits(&line(1, 2000, false), largest, cent(20_000)), i64::MAX.into());
    }
}
