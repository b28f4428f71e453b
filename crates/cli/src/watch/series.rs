//! What happened when: counts for a bounded number of time spans of equal length.

use std::time::Duration;

use outbound::limiter::QuotaDimension;
use tokio::time::Instant;

use super::{Limits, Waits};

/// The most spans. When all are used, each two neighbours become one.
pub(crate) const MOST: usize = 600;

/// The length of a span at the beginning.
const FIRST: Duration = Duration::from_millis(100);

/// The classes of times in a span: the first begins at a millisecond, each is longer than the one before by this factor.
const CLASSES: usize = 80;
const FACTOR: f64 = 1.2;

#[derive(Debug)]
pub(crate) struct Series {
    began: Instant,
    span: Duration,
    buckets: Vec<Bucket>,
    /// The attempts in flight at the last event.
    in_flight: u64,
}

/// One span of time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) refused: u64,
    pub(crate) tokens: u64,
    /// The most attempts that were in flight at once.
    pub(crate) in_flight: u64,
    /// The waiting requests, summed over the looks.
    waiting: u64,
    looks: u64,
    /// What the limits allow in a minute, as seen at the last look. `token_limit`: the same for tokens.
    pub(crate) request_limit: Option<f64>,
    pub(crate) token_limit: Option<f64>,
    times: [u32; CLASSES],
    longest: Duration,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            sent: 0,
            answered: 0,
            failed: 0,
            refused: 0,
            tokens: 0,
            in_flight: 0,
            waiting: 0,
            looks: 0,
            request_limit: None,
            token_limit: None,
            times: [0; CLASSES],
            longest: Duration::ZERO,
        }
    }
}

impl Series {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, span: FIRST, buckets: Vec::new(), in_flight: 0 }
    }

    /// `in_flight` counts this attempt.
    pub(super) fn sent(&mut self, now: Instant, in_flight: u64) {
        self.at(now).sent += 1;
        self.in_flight(now, in_flight);
    }

    /// Sets the number of attempts in flight from now on.
    pub(super) fn in_flight(&mut self, now: Instant, in_flight: u64) {
        let bucket = self.at(now);
        bucket.in_flight = bucket.in_flight.max(in_flight);
        self.in_flight = in_flight;
    }

    /// Takes back an attempt that was counted as sent at an instant.
    pub(super) fn not_sent(&mut self, at: Instant) {
        let bucket = self.at(at);
        bucket.sent = bucket.sent.saturating_sub(1);
    }

    pub(super) fn answered(&mut self, now: Instant, took: Duration) {
        let bucket = self.at(now);
        let class = ((took.as_secs_f64() * 1e3).max(1.0).ln() / FACTOR.ln()) as usize;
        let times = &mut bucket.times[class.min(CLASSES - 1)];
        *times = times.saturating_add(1);
        bucket.longest = bucket.longest.max(took);
    }

    pub(super) fn refused(&mut self, now: Instant) {
        self.at(now).refused += 1;
    }

    pub(super) fn done(&mut self, now: Instant, answered: bool) {
        let bucket = self.at(now);
        bucket.answered += u64::from(answered);
        bucket.failed += u64::from(!answered);
    }

    pub(super) fn tokens(&mut self, now: Instant, tokens: u64) {
        let bucket = self.at(now);
        bucket.tokens = bucket.tokens.saturating_add(tokens);
    }

    pub(super) fn look(&mut self, now: Instant, waits: &Waits, limits: &Limits) {
        let bucket = self.at(now);
        bucket.looks += 1;
        bucket.waiting += waits.now();
        bucket.request_limit = limits.per_minute(QuotaDimension::Requests).or(bucket.request_limit);
        bucket.token_limit = limits.tokens_per_minute().or(bucket.token_limit);
    }

    /// The spans merged into at most `most` parts, and the length of a part.
    pub(crate) fn parts(&self, most: usize) -> (Duration, Vec<Bucket>) {
        let together = self.buckets.len().div_ceil(most.max(1)).max(1);
        (self.span * u32::try_from(together).unwrap_or(u32::MAX), merged(&self.buckets, together))
    }

    fn at(&mut self, now: Instant) -> &mut Bucket {
        let elapsed = now.saturating_duration_since(self.began);
        loop {
            let place = usize::try_from(elapsed.as_nanos() / self.span.as_nanos()).unwrap_or(usize::MAX);
            if place < MOST {
                if place >= self.buckets.len() {
                    // Attempts in flight stay in flight during the new spans.
                    let since = Bucket { in_flight: self.in_flight, ..Bucket::default() };
                    self.buckets.resize(place + 1, since);
                }
                return &mut self.buckets[place];
            }
            self.halve();
        }
    }

    fn halve(&mut self) {
        self.span *= 2;
        self.buckets = merged(&self.buckets, 2);
    }
}

/// Merges groups of `together` neighbours.
fn merged(buckets: &[Bucket], together: usize) -> Vec<Bucket> {
    let merge = |buckets: &[Bucket]| {
        let mut merged = Bucket::default();
        buckets.iter().for_each(|bucket| merged.take_in(bucket));
        merged
    };
    buckets.chunks(together).map(merge).collect()
}

impl Bucket {
    /// The average number of waiting requests. `None` without a look.
    pub(crate) fn waiting(&self) -> Option<f64> {
        (self.looks > 0).then(|| self.waiting as f64 / self.looks as f64)
    }

    /// The quantile of the times of its answers, to 10 percent. `None` without answers.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        let count: u64 = self.times.iter().map(|count| u64::from(*count)).sum();
        let wanted = (count as f64 * share).ceil().max(1.0);
        let mut seen = 0.0;
        let class = self.times.iter().position(|count| {
            seen += f64::from(*count);
            seen >= wanted
        })?;
        if class == self.times.iter().rposition(|count| *count > 0)? && self.times[class] == 1 {
            return self.longest();
        }
        let middle = FACTOR.powf(class as f64 + 0.5) / 1e3;
        Some(Duration::from_secs_f64(middle).min(self.longest))
    }

    /// The time of the slowest answer.
    pub(crate) fn longest(&self) -> Option<Duration> {
        (self.longest > Duration::ZERO).then_some(self.longest)
    }

    pub(crate) fn take_in(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.failed += other.failed;
        self.refused += other.refused;
        self.tokens += other.tokens;
        self.in_flight = self.in_flight.max(other.in_flight);
        self.looks += other.looks;
        self.request_limit = other.request_limit.or(self.request_limit);
        self.token_limit = other.token_limit.or(self.token_limit);
        self.longest = self.longest.max(other.longest);
        self.waiting += other.waiting;
        for (sum, more) in self.times.iter_mut().zip(other.times) {
            *sum = sum.saturating_add(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_fit_into_a_bounded_number_of_spans_and_nothing_is_lost() {
        let began = Instant::now();
        let mut series = Series::new(began);
        for second in 0..20_000 {
            series.sent(began + Duration::from_secs(second), 1);
            series.answered(began + Duration::from_secs(second), Duration::from_millis(second % 1_000));
        }
        assert!(series.buckets.len() <= MOST);
        let (span, parts) = series.parts(100);
        assert!(parts.len() <= 100 && span >= Duration::from_secs(200));
        assert_eq!(parts.iter().map(|part| part.sent).sum::<u64>(), 20_000);
        // Of the seconds from 614 to 819.
        let median = parts[3].quantile(0.5).expect("answers").as_secs_f64();
        assert!(span == Duration::from_millis(204_800) && (median / 0.716 - 1.0).abs() < 0.1, "{median}");
    }

    #[test]
    fn a_long_silence_does_not_take_long() {
        let began = Instant::now();
        let mut series = Series::new(began);
        series.sent(began, 1);
        series.sent(began + Duration::from_secs(100 * 24 * 3_600), 1);
        assert_eq!(series.parts(MOST).1.iter().map(|part| part.sent).sum::<u64>(), 2);
    }
}
