//! How many calls an endpoint may have in flight, learnt from how it fares.

use std::time::Duration;

use tokio::time::Instant;

/// Overloads reported within this time of a cut are echoes of the same overload.
const COOLDOWN: Duration = Duration::from_secs(1);

/// A bound on concurrency that gives way to overload: it halves when the provider says it is overloaded, grows by one
/// with each success (so it doubles with each full round, as TCP's slow start does), and falls to a single probe when
/// the retry budget is spent. Pure: it is told what happened, and tells the new bound.
#[derive(Debug)]
pub(crate) struct Pressure {
    ceiling: usize,
    bound: usize,
    /// The retry budget is spent: one call at a time finds out whether the provider is back.
    probing: bool,
    cut_at: Option<Instant>,
}

impl Pressure {
    pub(crate) fn new(ceiling: usize) -> Self {
        Self { ceiling, bound: ceiling, probing: false, cut_at: None }
    }

    /// How many calls may be in flight.
    pub(crate) fn bound(&self) -> usize {
        self.bound
    }

    /// Whether only probes go out.
    pub(crate) fn is_probing(&self) -> bool {
        self.probing
    }

    pub(crate) fn succeeded(&mut self) {
        self.bound = self.bound.saturating_add(1).min(self.ceiling);
        self.probing &= self.bound < self.ceiling;
    }

    pub(crate) fn overloaded(&mut self, now: Instant, in_flight: usize) {
        if self.cut_at.is_some_and(|at| now.saturating_duration_since(at) < COOLDOWN) {
            return;
        }
        self.cut_at = Some(now);
        self.bound = self.bound.min(in_flight).div_ceil(2).max(1);
    }

    /// Any failure that is the provider's, overloads included.
    pub(crate) fn failed(&mut self) {
        if self.probing {
            self.bound = 1;
        }
    }

    pub(crate) fn budget_spent(&mut self) {
        self.probing = true;
        self.bound = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_overload_halves_once_however_often_it_is_told() {
        let now = Instant::now();
        let mut pressure = Pressure::new(64);
        for _ in 0..40 {
            pressure.overloaded(now, 40);
        }
        assert_eq!(pressure.bound(), 20);
        pressure.overloaded(now + COOLDOWN, 20);
        assert_eq!(pressure.bound(), 10);
    }

    #[test]
    fn it_never_falls_below_one_and_never_rises_above_its_ceiling() {
        let now = Instant::now();
        let mut pressure = Pressure::new(2);
        for second in 0..10 {
            pressure.overloaded(now + second * COOLDOWN, 0);
        }
        assert_eq!(pressure.bound(), 1);
        for _ in 0..10 {
            pressure.succeeded();
        }
        assert_eq!(pressure.bound(), 2);
    }

    #[test]
    fn a_spent_budget_leaves_one_probe_until_the_provider_is_back() {
        let mut pressure = Pressure::new(4);
        pressure.budget_spent();
        pressure.failed();
        assert_eq!((pressure.bound(), pressure.is_probing()), (1, true));
        pressure.succeeded();
        assert_eq!((pressure.bound(), pressure.is_probing()), (2, true));
        pressure.failed();
        assert_eq!(pressure.bound(), 1);
        for _ in 0..3 {
            pressure.succeeded();
        }
        assert_eq!((pressure.bound(), pressure.is_probing()), (4, false));
        pressure.failed();
        assert_eq!(pressure.bound(), 4, "a failure in normal life is no reason to probe");
    }
}
