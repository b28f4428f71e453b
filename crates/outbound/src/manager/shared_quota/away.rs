//! What a process may do while the store of quota is away. Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::rules::Shared;

/// An exchange that has no answer after this time may have none: what is in hand lasts hardly longer.
const SILENT: Duration = Duration::from_millis(500);

/// The wait before the same is asked again. It doubles, up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(2);

/// The share of a process is halved after each such time, so many times at most.
const HALVED: Duration = Duration::from_secs(60);
const HALVINGS: u32 = 4;

/// How many share the quota where no answer has ever told it.
const UNKNOWN_HOLDERS: u32 = 4;

/// The time over which the rate of the grants is measured.
const MEASURED: Duration = Duration::from_secs(5);

/// Whether the store is away, and what came from it before.
#[derive(Debug, Default)]
pub(super) struct Away {
    /// Since when it has not answered.
    since: Option<Instant>,
    /// Whether an exchange has failed since then, and when the next is asked.
    retry: Option<(Instant, Duration)>,
    /// Up to when the share was given out, and the parts of units beyond it.
    given: Option<Instant>,
    parts: Vec<f64>,
    /// What was granted since when, and the rate before that.
    granted: Vec<u64>,
    measured_since: Option<Instant>,
    rate: Vec<f64>,
    ttl: Duration,
}

impl Away {
    /// Since when the store is away.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since.filter(|_| self.retry.is_some())
    }

    /// When the same is asked again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry.map(|(at, _)| at)
    }

    /// An exchange is under way since then. Returns when it counts as silent.
    pub(super) fn waits(&mut self, asked: Instant, now: Instant) -> Instant {
        let silent = asked + SILENT;
        if now >= silent {
            self.since.get_or_insert(asked);
        }
        silent
    }

    /// Says whether the store was not away before.
    pub(super) fn failed(&mut self, asked: Instant, now: Instant) -> bool {
        let is_new = self.retry.is_none();
        self.since.get_or_insert(asked);
        let wait = self.retry.map_or(FIRST_RETRY, |(_, wait)| (wait * 2).min(LONGEST_RETRY));
        self.retry = Some((now + wait, wait));
        is_new
    }

    pub(super) fn answered(&mut self, granted: &[u64], ttl: Duration, now: Instant) {
        (self.since, self.retry, self.given) = (None, None, None);
        if !ttl.is_zero() {
            self.ttl = ttl;
        }
        self.granted.resize(granted.len(), 0);
        self.granted.iter_mut().zip(granted).for_each(|(sum, granted)| *sum += granted);
        let since = *self.measured_since.get_or_insert(now);
        if now >= since + MEASURED {
            let seconds = (now - since).as_secs_f64();
            self.rate = self.granted.iter().map(|sum| *sum as f64 / seconds).collect();
            self.granted.iter_mut().for_each(|sum| *sum = 0);
            self.measured_since = Some(now);
        }
    }

    /// What may be spent without the store, of each rule: for one time to live at the rate of before, then a share of the
    /// rate that halves each minute. `wanted` is the most of it.
    pub(super) fn credit(
        &mut self,
        now: Instant,
        rules: &[Shared],
        holders: u32,
        wanted: &[u64],
    ) -> Vec<u64> {
        let Some(since) = self.since else { return vec![0; rules.len()] };
        let from = self.given.replace(now).unwrap_or(now);
        let (seconds, away) = ((now - from).as_secs_f64(), now - since);
        self.parts.resize(rules.len(), 0.0);
        let halvings = u32::try_from(away.as_secs() / HALVED.as_secs()).unwrap_or(u32::MAX).min(HALVINGS);
        let holders = if holders == 0 { UNKNOWN_HOLDERS } else { holders };
        let mut units = Vec::new();
        for (index, Shared { rule, .. }) in rules.iter().enumerate() {
            let whole = rule.amount as f64 / rule.per.as_secs_f64();
            let share = whole / f64::from(holders);
            let before = self.rate.get(index).copied().filter(|_| away < self.ttl);
            let rate =
                before.map_or(share / 2_f64.powi(halvings.cast_signed()), |rate| rate.clamp(share, whole));
            let Some((parts, wanted)) = self.parts.get_mut(index).zip(wanted.get(index)) else { continue };
            *parts = (*parts + rate * seconds).min(*wanted as f64);
            units.push(*parts as u64);
            *parts = parts.fract();
        }
        units
    }
}
