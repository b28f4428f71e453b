//! Fixed windows and sliding logs.

use std::{collections::VecDeque, time::Duration};

const MINUTE: u128 = 60_000_000_000;

/// What was taken in the present window.
#[derive(Clone, Debug)]
pub(crate) struct Windowed {
    limit: u64,
    length: Duration,
    // In a log each amount counts for one length, from its own time on. In a fixed window all count until the window is over.
    slides: bool,
    // The time and the size of each amount, the oldest first.
    taken: VecDeque<(Duration, u64)>,
    // The sum of `taken`.
    used: u64,
}

impl Windowed {
    pub(crate) fn new(limit: u64, length: Duration, slides: bool) -> Self {
        // A window without a length would never end.
        let length = length.max(Duration::from_nanos(1));
        Self { limit, length, slides, taken: VecDeque::new(), used: 0 }
    }

    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// How much one window admits: its share of the limit of a minute, but at least one unit.
    pub(crate) fn capacity(&self) -> u64 {
        if self.limit == 0 {
            return 0;
        }
        let part = u128::from(self.limit).saturating_mul(self.length.as_nanos()) / MINUTE;
        u64::try_from(part).unwrap_or(u64::MAX).max(1)
    }

    /// An amount that is more than one window admits, but not more than a minute admits, is let through when nothing else
    /// counts.
    pub(crate) fn wait(&mut self, now: Duration, amount: u64) -> Result<(), Option<Duration>> {
        self.forget(now);
        if self.limit == 0 || amount > self.limit {
            return Err(None);
        }
        let room = self.capacity().saturating_sub(amount);
        if self.used <= room {
            return Ok(());
        }
        let mut used = self.used;
        // The end of the first amount that makes enough room when it no longer counts.
        let leaves = self.taken.iter().find_map(|(at, amount)| {
            used -= amount;
            (used <= room).then(|| self.end_of(*at))
        });
        Err(leaves.map(|leaves| leaves.saturating_sub(now)))
    }

    pub(crate) fn take(&mut self, now: Duration, amount: u64) {
        self.forget(now);
        self.used = self.used.saturating_add(amount);
        self.taken.push_back((now, amount));
    }

    pub(crate) fn settle(&mut self, now: Duration, taken: Duration, estimate: u64, actual: u64) {
        self.forget(now);
        // If its window is over, there is nothing to correct.
        let found = self.taken.iter_mut().find(|(at, amount)| *at == taken && *amount == estimate);
        if let Some((_, amount)) = found {
            self.used = self.used - estimate + actual;
            *amount = actual;
        }
    }

    pub(crate) fn remaining(&mut self, now: Duration) -> u64 {
        self.forget(now);
        self.capacity().saturating_sub(self.used)
    }

    pub(crate) fn full_in(&mut self, now: Duration) -> Duration {
        self.forget(now);
        self.taken.back().map_or(Duration::ZERO, |(at, _)| self.end_of(*at).saturating_sub(now))
    }

    /// When an amount taken at a time no longer counts.
    fn end_of(&self, at: Duration) -> Duration {
        if self.slides {
            return at.saturating_add(self.length);
        }
        let windows = at.as_nanos() / self.length.as_nanos() + 1;
        let end = windows.saturating_mul(self.length.as_nanos());
        Duration::from_nanos(u64::try_from(end).unwrap_or(u64::MAX))
    }

    fn forget(&mut self, now: Duration) {
        while self.taken.front().is_some_and(|(at, _)| self.end_of(*at) <= now) {
            self.used -= self.taken.pop_front().map_or(0, |(_, amount)| amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_fixed_window_begins_anew_and_a_log_slides() {
        for (slides, wait) in [(false, 100), (true, 900)] {
            let mut meter = Windowed::new(120, SECOND, slides);
            for at in [800, 900] {
                assert_eq!(meter.wait(ms(at), 1), Ok(()));
                meter.take(ms(at), 1);
            }
            assert_eq!(meter.remaining(ms(900)), 0);
            assert_eq!(meter.wait(ms(900), 1), Err(Some(ms(wait))));
            assert_eq!(meter.full_in(ms(900)), ms(if slides { 1_000 } else { 100 }));
            assert_eq!(meter.wait(ms(900 + wait), 1), Ok(()));
        }
    }

    #[test]
    fn what_is_too_large_for_a_window_waits_for_an_empty_one_and_for_a_minute_is_never_let_in() {
        let mut meter = Windowed::new(600, SECOND, true);
        assert_eq!(meter.wait(ms(0), 601), Err(None));
        assert_eq!(meter.wait(ms(0), 600), Ok(()));
        meter.take(ms(0), 1);
        assert_eq!(meter.wait(ms(1), 600), Err(Some(ms(999))));
        assert_eq!(Windowed::new(0, SECOND, true).wait(ms(0), 1), Err(None));
    }

    #[test]
    fn unused_tokens_return_while_their_window_counts() {
        let mut meter = Windowed::new(6_000, SECOND, false);
        meter.take(ms(500), 80);
        meter.settle(ms(900), ms(500), 80, 10);
        assert_eq!(meter.remaining(ms(900)), 90);
        meter.take(ms(900), 80);
        meter.settle(ms(1_100), ms(900), 80, 10);
        assert_eq!(meter.remaining(ms(1_100)), 100);
    }

    proptest! {
        /// No window, and no second, admits more than its share, for any order of requests.
        #[test]
        fn never_more_than_the_capacity(
            slides: bool, steps in vec((0_u64..400, 1_u64..20), 1..200),
        ) {
            let mut meter = Windowed::new(1_200, SECOND, slides);
            let (mut now, mut admitted) = (ms(0), Vec::new());
            for (step, amount) in steps {
                now += ms(step);
                match meter.wait(now, amount) {
                    Ok(()) => { meter.take(now, amount); admitted.push((now, amount)); }
                    Err(wait) => {
                        let wait = wait.expect("possible");
                        prop_assert!(wait > Duration::ZERO && wait <= SECOND);
                        prop_assert_eq!(meter.clone().wait(now + wait, amount), Ok(()));
                        prop_assert!(meter.clone().wait(now + wait - Duration::from_nanos(1), amount).is_err());
                    }
                }
                let counts = |at: Duration| if slides { at + SECOND > now } else { at.as_secs() == now.as_secs() };
                let sum: u64 = admitted.iter().filter(|(at, _)| counts(*at)).map(|(_, amount)| amount).sum();
                prop_assert!(sum <= 20);
                prop_assert_eq!(meter.remaining(now), 20 - sum);
            }
        }
    }
}
