//! The size of a hold, decided before the cost of the run is known.

use sequent_core::{MicroCredits, MicroUsd};

use crate::Denied;

/// The price of a run in percent of its cost: 100 is at cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Markup(pub u32);

impl Markup {
    /// Returns the price of a cost, rounded up.
    #[must_use]
    pub fn credits(self, cost: MicroUsd) -> MicroCredits {
        let credits = (u128::from(cost.0) * u128::from(self.0)).div_ceil(100);
        MicroCredits(i64::try_from(credits).unwrap_or(i64::MAX))
    }

    /// Returns the largest cost whose price is at most `credits`.
    #[must_use]
    pub fn cost(self, credits: MicroCredits) -> MicroUsd {
        let credits = u64::try_from(credits.0).unwrap_or(0);
        MicroUsd(u64::try_from(u128::from(credits) * 100 / u128::from(self.0.max(1))).unwrap_or(u64::MAX))
    }
}

/// The amounts between which a hold is chosen.
#[derive(Debug, Clone, Copy)]
pub struct HoldLimits {
    /// Hold of a run without a budget.
    pub usual: MicroCredits,
    /// Largest hold that the plan allows.
    pub most: MicroCredits,
    /// Budget of the request.
    pub budget: Option<MicroCredits>,
}

/// The reason why no hold covers the first model call of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldTooSmall {
    /// The budget of the request, or the plan, allows a smaller hold only.
    #[expect(missing_docs, reason = "plain data")]
    Limit { needed: MicroCredits, limit: MicroCredits },
    /// The balance is smaller.
    #[expect(missing_docs, reason = "plain data")]
    Balance { needed: MicroCredits },
}

impl HoldTooSmall {
    /// Returns the smallest hold that the run needs.
    #[must_use]
    pub const fn needed(self) -> MicroCredits {
        match self {
            Self::Limit { needed, .. } | Self::Balance { needed } => needed,
        }
    }

    pub(crate) const fn denied(self, available: MicroCredits) -> Denied {
        match self {
            Self::Limit { needed, limit } => Denied::Limit { needed, limit },
            Self::Balance { needed } => Denied::Insufficient { needed, available },
        }
    }
}

/// Returns the amount to hold: the budget, or else the usual hold, or the estimate of the first model call if that is
/// larger; at most what the plan allows; and the whole balance if that covers the first call.
///
/// A hold that does not cover the first call is refused, also if the request has asked for it: the model's answer would
/// have to be cut before it is of use.
///
/// # Errors
/// Returns the amount that the run needs at least.
pub fn hold_amount(
    first_call: MicroCredits,
    limits: HoldLimits,
    available: MicroCredits,
) -> Result<MicroCredits, HoldTooSmall> {
    let limit = limits.budget.unwrap_or_else(|| limits.usual.max(first_call)).min(limits.most);
    let needed = first_call.max(MicroCredits(1));
    if limit < needed {
        Err(HoldTooSmall::Limit { needed, limit })
    } else if available < needed {
        Err(HoldTooSmall::Balance { needed })
    } else {
        Ok(limit.min(available))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_never_exceeds_the_hold() {
        for percent in [1, 99, 100, 130, 1000] {
            let markup = Markup(percent);
            for credits in [0, 1, 7, 999_999, 12_345_678] {
                let held = MicroCredits(credits);
                assert!(markup.credits(markup.cost(held)) <= held, "{percent} {credits}");
            }
        }
        assert_eq!(Markup(130).credits(MicroUsd(1)), MicroCredits(2), "rounded up");
        assert_eq!(Markup(100).credits(MicroUsd(u64::MAX)), MicroCredits(i64::MAX));
    }

    #[test]
    fn a_hold_covers_the_first_call_within_the_limits() {
        let hold = |first, budget: Option<i64>, available| {
            let limits = HoldLimits {
                usual: MicroCredits(200),
                most: MicroCredits(1000),
                budget: budget.map(MicroCredits),
            };
            hold_amount(MicroCredits(first), limits, MicroCredits(available))
        };
        let balance = |needed| Err(HoldTooSmall::Balance { needed: MicroCredits(needed) });
        let limit = |needed, limit| {
            Err(HoldTooSmall::Limit { needed: MicroCredits(needed), limit: MicroCredits(limit) })
        };
        assert_eq!(hold(10, None, 5000), Ok(MicroCredits(200)));
        assert_eq!(hold(300, None, 5000), Ok(MicroCredits(300)));
        assert_eq!(hold(10, Some(50), 5000), Ok(MicroCredits(50)));
        assert_eq!(hold(10, Some(9999), 5000), Ok(MicroCredits(1000)), "the limit of the plan");
        assert_eq!(hold(10, None, 50), Ok(MicroCredits(50)), "the whole balance");
        assert_eq!(hold(60, None, 50), balance(60));
        assert_eq!(hold(0, None, 0), balance(1));
        assert_eq!(hold(60, Some(59), 5000), limit(60, 59), "the budget does not cover the first call");
        assert_eq!(hold(60, Some(60), 5000), Ok(MicroCredits(60)));
        assert_eq!(hold(0, Some(0), 5000), limit(1, 0));
        assert_eq!(hold(1001, None, 5000), limit(1001, 1000), "nor does the plan");
    }
}
