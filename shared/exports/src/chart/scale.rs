//! Axes with round numbers.

/// A linear axis from one round number to another.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) step: f64,
}

impl Scale {
    /// Creates an axis for values between `low` and `high`, with about five steps.
    pub(super) fn new(low: f64, high: f64) -> Self {
        let (low, high) = if high > low { (low, high) } else { around(low) };
        let rough = (high - low) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|m| m * power);
        let step = step.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(power * 10.0);
        Self { low: (low / step + 1e-9).floor() * step, high: (high / step - 1e-9).ceil() * step, step }
    }

    /// Creates an axis that includes zero.
    pub(super) fn from_zero(low: f64, high: f64) -> Self {
        Self::new(low.min(0.0), high.max(0.0))
    }

    /// The round numbers along the axis.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round().clamp(0.0, 50.0) as usize;
        (0..=count).map(|at| self.low + self.step * at as f64).collect()
    }

    /// The label of a tick.
    pub(super) fn label(&self, tick: f64) -> String {
        number(tick, decimals(self.step))
    }
}

fn around(value: f64) -> (f64, f64) {
    let reach = if value == 0.0 { 1.0 } else { value.abs() / 2.0 };
    (value - reach, value + reach)
}

fn decimals(step: f64) -> usize {
    (0..10)
        .find(|digits| {
            let scaled = step * 10_f64.powi(*digits);
            (scaled - scaled.round()).abs() < 1e-6 * scaled.max(1.0)
        })
        .unwrap_or(10) as usize
}

/// Formats a number with grouped thousands. The separator is a narrow space, because point and comma have
/// different meanings in different languages.
pub(super) fn number(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e12 {
        return format!("{value:e}");
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 && whole.len() > 4 {
            grouped.push('\u{202F}');
        }
        grouped.push(digit);
    }
    let zero = text.chars().all(|c| matches!(c, '0' | '.'));
    let sign = if value < 0.0 && !zero { "−" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64) -> String {
        let scale = Scale::new(low, high);
        scale.ticks().iter().map(|tick| scale.label(*tick)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_numbers_around_the_values() {
        assert_eq!(labels(0.0, 97.0), "0 20 40 60 80 100");
        assert_eq!(labels(-3.0, 8.0), "−5.0 −2.5 0.0 2.5 5.0 7.5 10.0");
        assert_eq!(labels(0.001, 0.004), "0.001 0.002 0.003 0.004");
        assert_eq!(
            labels(0.0, 48_000.0),
            "0 10\u{202F}000 20\u{202F}000 30\u{202F}000 40\u{202F}000 50\u{202F}000"
        );
        assert_eq!(labels(7.0, 7.0), "2 4 6 8 10 12");
    }

    #[test]
    fn every_range_has_few_ticks() {
        for exponent in -12..15 {
            let size = 10_f64.powi(exponent);
            for (low, high) in
                [(0.0, size), (-size, size), (size, size), (size, size * 1.0001), (-1e15, size)]
            {
                let scale = Scale::new(low, high);
                let ticks = scale.ticks();
                assert!((2..=12).contains(&ticks.len()), "{low} {high}: {ticks:?}");
                assert!(scale.low.is_finite() && scale.high > scale.low);
            }
        }
    }
}
