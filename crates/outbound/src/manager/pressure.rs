//! How many calls an endpoint may have in flight, learnt from how it fares.

use std::time::Duration;

use tokio::time::Instant;

/// So many failures without a success between them, and the provider is taken to be down.
const OUTAGE: u32 = 8;

/// The first pause between two probes. Each that fails doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A bound on concurrency that gives way to overload: it halves when the provider says it is overloaded, and grows by
/// one with each success (so it doubles with each full round, as TCP's slow start does).
///
/// When the provider seems to be down and the budget for retries is spent, only one probe at a time is let through,
/// with growing pauses between those that fail. The first success ends that, and the bound grows from one.
///
/// Pure: it is told what happened to a request and when that was sent, and tells what follows. What was sent before
/// the last consequence was drawn is its echo, and no news.
#[derive(Debug)]
pub(crate) struct Pressure {
    ceiling: usize,
    bound: usize,
    longest_pause: Duration,
    /// Failures since the last success.
    in_a_row: u32,
    /// When a consequence was last drawn.
    since: Option<Instant>,
    /// Set while the provider is down: how many probes have failed.
    failed_probes: Option<u32>,
}

impl Pressure {
    pub(crate) fn new(ceiling: usize, longest_pause: Duration) -> Self {
        Self { ceiling, bound: ceiling, longest_pause, in_a_row: 0, since: None, failed_probes: None }
    }

    /// How many calls may be in flight.
    pub(crate) fn bound(&self) -> usize {
        self.bound
    }

    /// Whether the provider is taken to be down, so that only probes go out.
    pub(crate) fn is_probing(&self) -> bool {
        self.failed_probes.is_some()
    }

    pub(crate) fn succeeded(&mut self) {
        self.bound = self.bound.saturating_add(1).min(self.ceiling);
        self.failed_probes = None;
        self.in_a_row = 0;
    }

    /// The provider said that it is overloaded, with so many calls in flight.
    pub(crate) fn overloaded(&mut self, now: Instant, sent_at: Instant, in_flight: usize) {
        if self.is_news(sent_at) && !self.is_probing() {
            self.since = Some(now);
            self.bound = self.bound.min(in_flight).div_ceil(2).max(1);
        }
    }

    /// Any failure that is the provider's, overloads included. Says how long nothing is to be sent: not at all, unless
    /// it was a probe. `spread` is between 0 and 1, and keeps several processes apart.
    pub(crate) fn failed(&mut self, now: Instant, sent_at: Instant, spread: f64) -> Duration {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let news = self.is_news(sent_at);
        let Some(failed) = self.failed_probes.as_mut().filter(|_| news) else { return Duration::ZERO };
        let pause = FIRST_PAUSE.saturating_mul(1 << (*failed).min(16)).min(self.longest_pause);
        *failed += 1;
        self.since = Some(now);
        pause.mul_f64(0.5 + spread.clamp(0.0, 1.0) / 2.0)
    }

    /// A retry could not be paid for. That alone is no reason to stop: where one call in five fails, waiting makes it
    /// no less. Where all fail, it is.
    pub(crate) fn budget_spent(&mut self, now: Instant) {
        if self.in_a_row >= OUTAGE && !self.is_probing() {
            self.failed_probes = Some(0);
            self.bound = 1;
            self.since = Some(now);
        }
    }

    fn is_news(&self, sent_at: Instant) -> bool {
        self.since.is_none_or(|since| sent_at > since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);
    const SECOND: Duration = Duration::from_secs(1);

    fn down(pressure: &mut Pressure, now: Instant) {
        for _ in 0..OUTAGE {
            assert_eq!(pressure.failed(now, now, 1.0), Duration::ZERO);
        }
        pressure.budget_spent(now);
        assert_eq!((pressure.bound(), pressure.is_probing()), (1, true));
    }

    #[test]
    fn one_overload_halves_once_however_often_it_is_told() {
        let now = Instant::now();
        let mut pressure = Pressure::new(64, LONGEST);
        for echo in 0..40 {
            pressure.overloaded(now + echo * SECOND, now, 40);
        }
        assert_eq!(pressure.bound(), 20);
        pressure.overloaded(now + 50 * SECOND, now + SECOND, 20);
        assert_eq!(pressure.bound(), 10);
    }

    #[test]
    fn it_never_falls_below_one_and_never_rises_above_its_ceiling() {
        let now = Instant::now();
        let mut pressure = Pressure::new(2, LONGEST);
        for second in 0..10 {
            pressure.overloaded(now + second * SECOND, now + second * SECOND, 0);
        }
        assert_eq!(pressure.bound(), 1);
        for _ in 0..10 {
            pressure.succeeded();
        }
        assert_eq!(pressure.bound(), 2);
    }

    #[test]
    fn requests_that_were_under_way_are_no_failed_probes() {
        let now = Instant::now();
        let mut pressure = Pressure::new(64, LONGEST);
        down(&mut pressure, now + SECOND);
        for _ in 0..50 {
            assert_eq!(pressure.failed(now + SECOND, now, 1.0), Duration::ZERO);
        }
        assert_eq!(pressure.failed(now + 3 * SECOND, now + 2 * SECOND, 1.0), FIRST_PAUSE);
    }

    #[test]
    fn pauses_between_failed_probes_double_up_to_a_bound() {
        let now = Instant::now();
        let mut pressure = Pressure::new(4, LONGEST);
        down(&mut pressure, now);
        let probe = |pressure: &mut Pressure, n: u32| {
            let at = now + (n + 1) * SECOND;
            pressure.failed(at, at, 1.0).as_secs()
        };
        let pauses: Vec<u64> = (0..8).map(|n| probe(&mut pressure, n)).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn the_first_success_ends_the_outage_and_the_bound_grows_from_one() {
        let now = Instant::now();
        let mut pressure = Pressure::new(4, LONGEST);
        down(&mut pressure, now);
        pressure.succeeded();
        assert_eq!((pressure.bound(), pressure.is_probing()), (2, false));
        assert_eq!(pressure.failed(now + SECOND, now + SECOND, 1.0), Duration::ZERO);
        pressure.budget_spent(now + SECOND);
        assert_eq!((pressure.bound(), pressure.is_probing()), (2, false), "one failure is no outage");
    }
}
