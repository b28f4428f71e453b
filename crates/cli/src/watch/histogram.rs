//! A histogram of times.

use std::time::Duration;

/// Each class is wider than the one before by this factor, so that a time is known to 2.5 percent.
const FACTOR: f64 = 1.05;

/// The number of classes: they reach from a millisecond to half a day.
const CLASSES: usize = 360;

/// A histogram of fixed size.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    classes: Box<[u64; CLASSES]>,
    count: u64,
    shortest: Duration,
    longest: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { classes: Box::new([0; CLASSES]), count: 0, shortest: Duration::MAX, longest: Duration::ZERO }
    }
}

impl Histogram {
    pub(crate) fn add(&mut self, time: Duration) {
        self.classes[class(time)] += 1;
        self.count += 1;
        self.shortest = self.shortest.min(time);
        self.longest = self.longest.max(time);
    }

    pub(crate) fn longest(&self) -> Option<Duration> {
        (self.count > 0).then_some(self.longest)
    }

    /// The quantile: this share of all times is not longer.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (self.count as f64 * share).ceil().max(1.0);
        let mut seen = 0.0;
        let class = self.classes.iter().position(|count| {
            seen += *count as f64;
            seen >= wanted
        })?;
        Some(middle(class).max(self.shortest).min(self.longest))
    }

    /// The classes from the first to the last that is not empty, merged in groups of `together`: begin and end in seconds, and
    /// the count.
    pub(crate) fn classes(&self, together: usize) -> Vec<(f64, f64, u64)> {
        let groups = self.classes.chunks(together).enumerate();
        let groups: Vec<_> = groups
            .map(|(group, counts)| {
                let (from, to) = (start(group * together), start(group * together + counts.len()));
                (from, to, counts.iter().sum::<u64>())
            })
            .collect();
        let first = groups.iter().position(|(.., count)| *count > 0);
        let last = groups.iter().rposition(|(.., count)| *count > 0);
        first.zip(last).map(|(first, last)| groups[first..=last].to_vec()).unwrap_or_default()
    }
}

fn class(time: Duration) -> usize {
    let milliseconds = (time.as_secs_f64() * 1e3).max(1.0);
    // A conversion from a float stops at the bounds.
    ((milliseconds.ln() / FACTOR.ln()) as usize).min(CLASSES - 1)
}

/// Where a class begins, in seconds.
fn start(class: usize) -> f64 {
    FACTOR.powf(class as f64) / 1e3
}

fn middle(class: usize) -> Duration {
    Duration::from_secs_f64(start(class) * FACTOR.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near_the_truth() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile(0.5), histogram.longest()), (None, None));
        (1..=1_000).for_each(|number| histogram.add(Duration::from_millis(number * 10)));
        for (share, truth) in [(0.5, 5.0), (0.9, 9.0), (0.99, 9.9)] {
            let found = histogram.quantile(share).expect("there are some").as_secs_f64();
            assert!((found / truth - 1.0).abs() < 0.03, "{share}: {found}");
        }
        assert_eq!(histogram.longest(), Some(Duration::from_secs(10)));
        let classes = histogram.classes(4);
        assert_eq!(classes.iter().map(|(.., count)| count).sum::<u64>(), 1_000);
        assert!(classes.iter().all(|(from, to, _)| from < to));
    }

    #[test]
    fn what_is_beyond_the_classes_is_in_the_last() {
        let mut histogram = Histogram::default();
        histogram.add(Duration::from_millis(7));
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_millis(7)), "one is known exactly");
        histogram.add(Duration::ZERO);
        histogram.add(Duration::from_secs(1_000_000));
        assert_eq!(histogram.quantile(0.1), Some(middle(0)));
        assert!(histogram.quantile(1.0) >= Some(Duration::from_secs(40_000)));
    }
}
