//! How long the simulated provider takes.

use std::time::Duration;

use crate::draw::Draw;

/// The 99th percentile of the standard normal distribution.
const Z_99: f64 = 2.326_347_874_040_841;

/// Time for one token at a speed in tokens per second. A number that is not positive means no limit.
pub(crate) fn of_token(speed: f64) -> Duration {
    let seconds = if speed > 0.0 { 1.0 / speed } else { 0.0 };
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// A distribution of times.
///
/// ```
/// use std::time::Duration;
/// use outbound_simulator::Latency;
///
/// let steady = Latency::fixed(Duration::from_millis(250));
/// // Half of the calls take less than 0.8 s, one in a hundred more than 8 s, and none more than 12 s.
/// let tailed = Latency::log_normal(Duration::from_millis(800), Duration::from_secs(8)).max(Duration::from_secs(12));
/// # assert_ne!(steady, tailed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    shape: Shape,
    max: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Fixed(Duration),
    /// The standard deviation of the logarithm.
    LogNormal {
        median: Duration,
        sigma: f64,
    },
    Pareto {
        least: Duration,
    },
}

impl Latency {
    /// No time at all.
    pub const fn none() -> Self {
        Self::fixed(Duration::ZERO)
    }

    /// Always `duration`.
    pub const fn fixed(duration: Duration) -> Self {
        Self { shape: Shape::Fixed(duration), max: Duration::MAX }
    }

    /// Log-normal with this median and this 99th percentile, the usual shape of a provider's latency: many near the
    /// median and a long tail. A `p99` that is not above the median makes it fixed. The tail has no end: clip it
    /// with [`max`](Self::max) where a run is to be compared with another one.
    pub fn log_normal(median: Duration, p99: Duration) -> Self {
        let ratio = p99.as_secs_f64() / median.as_secs_f64();
        if ratio.is_finite() && ratio > 1.0 {
            let sigma = ratio.ln() / Z_99;
            return Self { shape: Shape::LogNormal { median, sigma }, max: Duration::MAX };
        }
        Self::fixed(median)
    }

    /// Pareto's distribution with the index 1: at least `least`, and longer than *t* in `least` / *t* of the cases. Its mean is
    /// infinite: clip it with [`max`](Self::max).
    pub const fn pareto(least: Duration) -> Self {
        Self { shape: Shape::Pareto { least }, max: Duration::MAX }
    }

    /// Sets an upper bound: a longer time becomes `max`.
    pub const fn max(self, max: Duration) -> Self {
        Self { max, ..self }
    }

    pub(crate) fn draw(&self, draw: &mut Draw) -> Duration {
        let seconds = match self.shape {
            Shape::Fixed(time) => return time.min(self.max),
            Shape::LogNormal { median, sigma } => median.as_secs_f64() * (sigma * draw.normal()).exp(),
            // In (0, 1].
            Shape::Pareto { least } => least.as_secs_f64() / (1.0 - draw.unit()),
        };
        // Whole microseconds are enough for a network, and easier to read in a ledger.
        let micros = (seconds * 1e6).round();
        Duration::from_micros(micros as u64).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Purpose;

    #[test]
    fn log_normal_hits_its_median_and_its_99th_percentile() {
        let latency = Latency::log_normal(Duration::from_millis(800), Duration::from_secs(8));
        let mut draw = Draw::keyed(7, 0, 1, Purpose::Latency);
        let mut times: Vec<_> = (0..20_000).map(|_| latency.draw(&mut draw).as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        assert!((times[10_000] / 0.8 - 1.0).abs() < 0.05, "{}", times[10_000]);
        assert!((times[19_800] / 8.0 - 1.0).abs() < 0.12, "{}", times[19_800]);
        let clipped = latency.max(Duration::from_secs(2));
        assert!((0..1_000).all(|_| clipped.draw(&mut draw) <= Duration::from_secs(2)));
    }

    #[test]
    fn odd_parameters_have_a_meaning() {
        let mut draw = Draw::keyed(7, 0, 1, Purpose::Latency);
        let s1 = Duration::from_secs(1);
        for (latency, expected) in [
            (Latency::none(), Duration::ZERO),
            (Latency::log_normal(s1, Duration::ZERO), s1),
            (Latency::log_normal(Duration::ZERO, s1), Duration::ZERO),
            (Latency::log_normal(Duration::ZERO, Duration::ZERO), Duration::ZERO),
            (Latency::log_normal(Duration::MAX, Duration::MAX), Duration::MAX),
            (Latency::fixed(Duration::MAX).max(s1), s1),
        ] {
            assert_eq!(latency.draw(&mut draw), expected);
        }
        Latency::log_normal(s1, Duration::MAX).draw(&mut draw);
    }

    #[test]
    fn pareto_has_its_tail() {
        let latency = Latency::pareto(Duration::from_millis(10)).max(Duration::from_secs(60));
        let mut draw = Draw::keyed(7, 0, 1, Purpose::Latency);
        let mut times: Vec<_> = (0..100_000).map(|_| latency.draw(&mut draw).as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        for (per_mille, expected) in [(0, 0.010), (500, 0.020), (900, 0.100), (990, 1.0)] {
            let time = times[times.len() * per_mille / 1_000];
            assert!((time / expected - 1.0).abs() < 0.1, "{per_mille}: {time}");
        }
        assert_eq!(times.last(), Some(&60.0));
    }
}
