//! A histogram of latencies. Each bound is the square root of two times the one before, so that a percentile is known to a
//! fifth, from a tenth of a second to an hour.

use serde::Serialize;

/// The upper bounds of the buckets, in milliseconds. The last bucket has none.
const BOUNDS: [u64; 31] = [
    100, 141, 200, 283, 400, 566, 800, 1_131, 1_600, 2_263, 3_200, 4_525, 6_400, 9_051, 12_800, 18_102,
    25_600, 36_204, 51_200, 72_408, 102_400, 144_815, 204_800, 289_631, 409_600, 579_262, 819_200, 1_158_524,
    1_638_400, 2_317_047, 3_276_800,
];

/// The latencies of the runs of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LatencyStatistics {
    /// The runs whose latency is known. A run that was cancelled before it began has none.
    pub count: u64,
    /// The sum, in milliseconds.
    pub sum_ms: u64,
    /// The time in which half of the runs have ended, interpolated within a bucket. Null if there are no runs.
    pub p50_ms: Option<u64>,
    /// The time in which 95 of 100 runs have ended, interpolated within a bucket. Null if there are no runs.
    pub p95_ms: Option<u64>,
    /// The buckets that have runs.
    pub buckets: Vec<LatencyBucket>,
}

/// A bucket of the histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LatencyBucket {
    /// The longest latency in the bucket, in milliseconds. Null if it is longer than all bounds.
    pub up_to_ms: Option<u64>,
    /// The runs in the bucket.
    pub count: u64,
}

/// Returns the bucket of a latency.
pub(super) fn bucket_of(ms: u64) -> usize {
    BOUNDS.partition_point(|bound| *bound < ms)
}

/// Returns the name of the counter of a bucket.
pub(super) fn bucket_name(bucket: usize) -> String {
    format!("l{bucket:02}")
}

impl LatencyStatistics {
    /// Makes the histogram of the counters of its buckets.
    pub(super) fn of(sum_ms: u64, count_of: impl Fn(usize) -> u64) -> Self {
        let counts: Vec<u64> = (0..=BOUNDS.len()).map(count_of).collect();
        let bucket = |(bucket, count): (usize, &u64)| LatencyBucket {
            up_to_ms: BOUNDS.get(bucket).copied(),
            count: *count,
        };
        Self {
            count: counts.iter().sum(),
            sum_ms,
            p50_ms: percentile(&counts, 50),
            p95_ms: percentile(&counts, 95),
            buckets: counts.iter().enumerate().map(bucket).filter(|bucket| bucket.count > 0).collect(),
        }
    }
}

/// Returns the latency that so many percent of the runs do not exceed.
fn percentile(counts: &[u64], percent: u64) -> Option<u64> {
    let total: u64 = counts.iter().sum();
    let mut rank = (total * percent).div_ceil(100).max(1);
    for (bucket, count) in counts.iter().enumerate() {
        if rank <= *count {
            let lower = bucket.checked_sub(1).map_or(0, |below| BOUNDS[below]);
            let upper = BOUNDS.get(bucket).copied().unwrap_or(lower);
            return Some(lower + (upper - lower) * rank / count);
        }
        rank -= count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(latencies: impl IntoIterator<Item = u64>) -> LatencyStatistics {
        let latencies: Vec<u64> = latencies.into_iter().collect();
        LatencyStatistics::of(latencies.iter().sum(), |bucket| {
            latencies.iter().filter(|ms| bucket_of(**ms) == bucket).count() as u64
        })
    }

    #[test]
    fn percentiles_are_known_to_a_fifth() {
        let even = statistics((1..=1_000).map(|n| n * 10));
        assert_eq!((even.count, even.sum_ms), (1_000, 5_005_000));
        for (found, exact) in [(even.p50_ms, 5_000_u64), (even.p95_ms, 9_500)] {
            let found = found.expect("there are runs");
            assert!(found.abs_diff(exact) * 5 <= exact, "{found} for {exact}");
        }
    }

    #[test]
    fn the_ends_of_the_histogram() {
        let none = statistics([]);
        assert_eq!((none.p50_ms, none.p95_ms, none.buckets), (None, None, Vec::new()));
        assert_eq!(statistics([0]).p50_ms, Some(100));
        let long = statistics([100, 101, 999_999_999]);
        let bounds: Vec<Option<u64>> = long.buckets.iter().map(|bucket| bucket.up_to_ms).collect();
        assert_eq!(bounds, [Some(100), Some(141), None]);
        assert_eq!(long.p95_ms, Some(3_276_800), "the last bound is a lower limit");
    }
}
