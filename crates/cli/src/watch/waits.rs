//! How long requests waited, by reason.

use std::time::Duration;

use outbound::Waiting;
use tokio::time::Instant;

/// The reasons, in the order in which they are shown.
pub(crate) const WAITS: [Waiting; 9] = [
    Waiting::Limits,
    Waiting::Refused,
    Waiting::Outage,
    Waiting::Backoff,
    Waiting::Account,
    Waiting::Paused,
    Waiting::Money,
    Waiting::Budget,
    Waiting::EqualRequest,
];

/// The waits, in the order of [`WAITS`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Waits([Wait; WAITS.len()]);

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wait {
    /// The number of requests that wait now.
    pub(crate) now: u64,
    /// The sum of the waits of all requests.
    pub(crate) sum: Duration,
    /// The time in which at least one request waited.
    any: Duration,
    since: Option<Instant>,
}

impl Waits {
    pub(super) fn begin(&mut self, reason: Waiting, now: Instant) {
        if let Some(wait) = self.of_mut(reason) {
            wait.now += 1;
            wait.since.get_or_insert(now);
        }
    }

    pub(super) fn end(&mut self, reason: Waiting, took: Duration, now: Instant) {
        if let Some(wait) = self.of_mut(reason) {
            wait.now = wait.now.saturating_sub(1);
            wait.sum = wait.sum.saturating_add(took);
            if wait.now == 0
                && let Some(since) = wait.since.take()
            {
                wait.any += now.saturating_duration_since(since);
            }
        }
    }

    pub(crate) fn of(&self, reason: Waiting) -> Wait {
        place(reason).map(|place| self.0[place]).unwrap_or_default()
    }

    /// The number of requests that wait now, for any reason.
    pub(crate) fn now(&self) -> u64 {
        self.0.iter().map(|wait| wait.now).sum()
    }

    fn of_mut(&mut self, reason: Waiting) -> Option<&mut Wait> {
        place(reason).map(|place| &mut self.0[place])
    }
}

impl Wait {
    /// The time until now in which at least one request waited.
    pub(crate) fn any(&self, now: Instant) -> Duration {
        self.any + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

fn place(reason: Waiting) -> Option<usize> {
    WAITS.iter().position(|known| *known == reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_wait_together_are_a_sum_and_one_span() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut waits = Waits::default();
        waits.begin(Waiting::Outage, at(0));
        waits.begin(Waiting::Outage, at(2));
        assert_eq!(waits.of(Waiting::Outage).any(at(3)), Duration::from_secs(3), "still waiting");
        waits.end(Waiting::Outage, Duration::from_secs(5), at(5));
        waits.end(Waiting::Outage, Duration::from_secs(4), at(6));
        waits.begin(Waiting::Outage, at(10));
        waits.end(Waiting::Outage, Duration::from_secs(1), at(11));
        let wait = waits.of(Waiting::Outage);
        assert_eq!((wait.now, wait.sum), (0, Duration::from_secs(10)));
        assert_eq!(wait.any(at(60)), Duration::from_secs(7));
        assert_eq!(waits.of(Waiting::Limits).sum, Duration::ZERO);
    }
}
