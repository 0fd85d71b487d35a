//! How much to hold for a run before anybody knows what it will cost.

use sequent_core::{MicroCredits, MicroUsd};

/// What people pay for what we pay, in percent: 100 is at cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Markup(pub u32);

impl Markup {
    /// What people pay, rounded up.
    #[must_use]
    pub fn credits(self, cost: MicroUsd) -> MicroCredits {
        let credits = (u128::from(cost.0) * u128::from(self.0)).div_ceil(100);
        MicroCredits(i64::try_from(credits).unwrap_or(i64::MAX))
    }

    /// The most that may be spent on calls if people are to pay no more than this.
    #[must_use]
    pub fn cost(self, credits: MicroCredits) -> MicroUsd {
        let credits = u64::try_from(credits.0).unwrap_or(0);
        MicroUsd(u64::try_from(u128::from(credits) * 100 / u128::from(self.0.max(1))).unwrap_or(u64::MAX))
    }
}

/// What to hold: `usual`, more if the run's first call alone is estimated to cost more, no more than its own `budget` and
/// `most` allow, and as much as there is if that is enough for the first call.
///
/// # Errors
/// What would have been needed.
pub fn held_for(
    first_call: MicroCredits,
    (usual, most): (MicroCredits, MicroCredits),
    budget: Option<MicroCredits>,
    available: MicroCredits,
) -> Result<MicroCredits, MicroCredits> {
    let allowed = budget.map_or(most, |budget| budget.min(most));
    let wanted = budget.unwrap_or_else(|| usual.max(first_call)).min(allowed);
    let needed = first_call.min(wanted).max(MicroCredits(1));
    if available >= wanted {
        Ok(wanted)
    } else if available >= needed {
        Ok(available)
    } else {
        Err(needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_never_pay_more_than_was_held() {
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
    fn what_is_held_is_what_a_run_may_need() {
        let hold = |first, budget: Option<i64>, available| {
            let limits = (MicroCredits(200), MicroCredits(1000));
            held_for(MicroCredits(first), limits, budget.map(MicroCredits), MicroCredits(available))
                .map_err(|needed| needed.0)
                .map(|held| held.0)
        };
        assert_eq!(hold(10, None, 5000), Ok(200));
        assert_eq!(hold(300, None, 5000), Ok(300));
        assert_eq!(hold(10, Some(50), 5000), Ok(50));
        assert_eq!(hold(10, Some(9999), 5000), Ok(1000), "no more than a run may cost");
        assert_eq!(hold(10, None, 50), Ok(50), "all there is");
        assert_eq!(hold(60, None, 50), Err(60));
        assert_eq!(hold(0, None, 0), Err(1));
    }
}
