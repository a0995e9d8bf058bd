use std::time::Duration;

use serde::Serialize;

/// Steps between a power of two and the next: a figure is at most a thirty-second too high.
const STEPS: u64 = 32;
/// For every number of microseconds that 64 bits hold.
const BUCKETS: usize = 1920;

/// How long things took, in so many buckets that percentiles are exact to three percent, however
/// many there were.
#[derive(Debug, Clone)]
pub struct Latencies {
    counts: Vec<u64>,
    longest: u64,
}

/// Percentiles, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub longest: f64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            longest: 0,
        }
    }
}

impl Latencies {
    /// One more that took so long.
    pub fn note(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.longest = self.longest.max(micros);
        if let Some(count) = self.counts.get_mut(bucket(micros)) {
            *count += 1;
        }
    }

    /// What another has seen as well.
    pub fn add(&mut self, other: &Self) {
        self.longest = self.longest.max(other.longest);
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// `None` when nothing was noted.
    pub fn percentiles(&self) -> Option<Percentiles> {
        let total: u64 = self.counts.iter().sum();
        (total > 0).then(|| Percentiles {
            p50: self.percentile(total, 50),
            p90: self.percentile(total, 90),
            p99: self.percentile(total, 99),
            longest: milliseconds(self.longest),
        })
    }

    fn percentile(&self, total: u64, percent: u64) -> f64 {
        let rank = (total * percent).div_ceil(100);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        milliseconds(found.map_or(0, highest).min(self.longest))
    }
}

fn bucket(micros: u64) -> usize {
    let shift = (63 - (micros | STEPS).leading_zeros() as u64).saturating_sub(5);
    usize::try_from(shift * STEPS + (micros >> shift)).unwrap_or(usize::MAX)
}

/// The most microseconds that a bucket stands for.
fn highest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    let above = u128::from(bucket % STEPS + STEPS + 1) << shift;
    u64::try_from(above - 1).unwrap_or(u64::MAX)
}

fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_in_a_bucket_that_is_little_higher() {
        for bits in 0..64 {
            for micros in [
                1_u64 << bits,
                (1_u64 << bits) + 1,
                (1_u64 << bits) - 1 + (1 << bits >> 1),
            ] {
                let found = highest(bucket(micros));
                assert!(bucket(micros) < BUCKETS, "{micros}");
                assert!(found >= micros, "{micros} in {found}");
                assert!(found - micros <= micros / STEPS, "{micros} in {found}");
            }
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn percentiles_are_of_all_that_was_noted() {
        let (mut one, mut other) = (Latencies::default(), Latencies::default());
        assert!(one.percentiles().is_none());
        (1..=50).for_each(|n| one.note(Duration::from_millis(n)));
        (51..=100).for_each(|n| other.note(Duration::from_millis(n)));
        one.add(&other);
        let found = one.percentiles().unwrap();
        assert!((50.0..52.0).contains(&found.p50), "{found:?}");
        assert!((90.0..93.0).contains(&found.p90), "{found:?}");
        assert!((99.0..=100.0).contains(&found.p99), "{found:?}");
        assert!((found.longest - 100.0).abs() < f64::EPSILON, "{found:?}");
    }
}
