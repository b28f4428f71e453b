//! The rates of the last minute.

use std::time::Duration;

use tokio::time::Instant;

const SECONDS: usize = 60;

/// After less time, no rate is given.
const SHORTEST: Duration = Duration::from_secs(2);

/// What happened in each of the last seconds.
#[derive(Debug)]
pub(crate) struct Pace {
    began: Instant,
    /// A ring: second number `n` is at index `n % SECONDS`.
    seconds: [Second; SECONDS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Second {
    /// Its number, counted from the beginning.
    number: u64,
    sent: u64,
    done: u64,
    tokens: u64,
}

/// Amounts in a minute.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) sent: f64,
    pub(crate) done: f64,
    pub(crate) tokens: f64,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, seconds: [Second::default(); SECONDS] }
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.second(now).sent += 1;
    }

    /// Takes back a request that was counted as sent at an instant.
    pub(super) fn not_sent(&mut self, at: Instant) {
        let number = at.saturating_duration_since(self.began).as_secs();
        let second = &mut self.seconds[(number % SECONDS as u64) as usize];
        if second.number == number {
            second.sent = second.sent.saturating_sub(1);
        }
    }

    pub(super) fn done(&mut self, now: Instant) {
        self.second(now).done += 1;
    }

    pub(super) fn tokens(&mut self, now: Instant, tokens: u64) {
        let second = self.second(now);
        second.tokens = second.tokens.saturating_add(tokens);
    }

    /// The rates, measured over the last minute or the time so far. `None` in the first seconds.
    pub(crate) fn rates(&self, now: Instant) -> Option<Rates> {
        let elapsed = now.saturating_duration_since(self.began);
        if elapsed < SHORTEST {
            return None;
        }
        let number = elapsed.as_secs();
        let oldest = (number + 1).saturating_sub(SECONDS as u64);
        let span = elapsed.as_secs_f64() - oldest as f64;
        let mut rates = Rates::default();
        for second in self.seconds.iter().filter(|second| (oldest..=number).contains(&second.number)) {
            rates.sent += second.sent as f64 * 60.0 / span;
            rates.done += second.done as f64 * 60.0 / span;
            rates.tokens += second.tokens as f64 * 60.0 / span;
        }
        Some(rates)
    }

    fn second(&mut self, now: Instant) -> &mut Second {
        let number = now.saturating_duration_since(self.began).as_secs();
        let second = &mut self.seconds[(number % SECONDS as u64) as usize];
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minute_and_nothing_before_it() {
        let began = Instant::now();
        let at = |seconds: f64| began + Duration::from_secs_f64(seconds);
        let mut pace = Pace::new(began);
        assert_eq!(pace.rates(at(1.9)), None, "too early to say");
        (0..100).for_each(|second| pace.sent(at(f64::from(second) + 0.5)));
        pace.tokens(at(99.5), 1_000);
        let rates = pace.rates(at(100.0)).expect("known");
        assert!((rates.sent - 60.0).abs() < 1.1, "{rates:?}");
        assert!((rates.tokens - 1_000.0).abs() < 20.0, "{rates:?}");
        pace.not_sent(at(99.5));
        pace.not_sent(at(20.5));
        let fewer = pace.rates(at(100.0)).expect("known").sent;
        assert!((rates.sent - fewer - 1.0).abs() < 0.1, "{fewer}: only the one of the last minute");
        assert_eq!(pace.rates(at(161.0)), Some(Rates::default()), "all of it is long ago");
    }
}
