//! Repeated measurements of one thing.

use std::time::Duration;

/// Sorted measurements in milliseconds.
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn new(times: impl IntoIterator<Item = Duration>) -> Self {
        Self::of_ms(times.into_iter().map(|time| time.as_secs_f64() * 1e3))
    }

    pub(crate) fn of_ms(times: impl IntoIterator<Item = f64>) -> Self {
        let mut times: Vec<f64> = times.into_iter().collect();
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    /// Returns the value that a share of the sample does not exceed (nearest rank), or 0 for an empty sample.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn max(&self) -> f64 {
        self.quantile(1.0)
    }

    /// Returns `p50 a, p95 b, max c ms`.
    pub(crate) fn summary(&self) -> String {
        let p50 = self.median();
        let p95 = self.quantile(0.95);
        let max = self.max();
        format!("p50 {p50:.1}, p95 {p95:.1}, max {max:.1} ms of {}", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_of_the_sample() {
        let sample = Sample::of_ms([4.0, 1.0, 3.0, 2.0]);
        assert_eq!((sample.median(), sample.quantile(0.95), sample.max()), (2.0, 4.0, 4.0));
        assert_eq!(Sample::of_ms([7.0]).median(), 7.0);
    }
}
