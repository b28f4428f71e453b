//! Laws that find a limit: ours, and those of others as they are published, each in a few lines.

use std::time::Duration;

use outbound_limiter::{AutoConcurrency, End};
use tokio::time::Instant;

/// The most that any law may have in flight.
pub(super) const MOST: usize = 512;

/// A call that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) now: f64,
    pub(super) sent_at: f64,
    /// Its work, or that it was refused.
    pub(super) work: Option<u64>,
    /// With it.
    pub(super) in_flight: usize,
}

pub(super) trait Law {
    fn limit(&self) -> usize;
    fn started(&mut self, _now: f64, _in_flight: usize) {}
    fn ended(&mut self, ended: Ended);
}

/// The same limit all the time.
pub(super) struct Fixed(pub(super) usize);

impl Law for Fixed {
    fn limit(&self) -> usize {
        self.0
    }

    fn ended(&mut self, _: Ended) {}
}

pub(super) struct Ours {
    auto: AutoConcurrency,
    origin: Instant,
}

impl Ours {
    pub(super) fn new() -> Self {
        Self { auto: AutoConcurrency::new(1, MOST), origin: Instant::now() }
    }

    fn at(&self, seconds: f64) -> Instant {
        self.origin + Duration::from_secs_f64(seconds)
    }
}

impl Law for Ours {
    fn limit(&self) -> usize {
        self.auto.limit()
    }

    fn started(&mut self, now: f64, in_flight: usize) {
        self.auto.started(self.at(now), in_flight);
    }

    fn ended(&mut self, ended: Ended) {
        let end = ended.work.map_or(End::Overloaded, |work| End::Done { work });
        let _ = self.auto.ended(self.at(ended.now), self.at(ended.sent_at), end);
    }
}

/// One more after each round of successes, half after an overload, at most once a round (RFC 5681, section 3.1).
pub(super) struct Aimd {
    limit: f64,
    cut_at: f64,
}

impl Aimd {
    pub(super) fn new() -> Self {
        Self { limit: 20.0, cut_at: -1.0 }
    }
}

impl Law for Aimd {
    fn limit(&self) -> usize {
        self.limit as usize
    }

    fn ended(&mut self, ended: Ended) {
        match ended.work {
            Some(_) if 2 * ended.in_flight >= self.limit() => {
                self.limit = (self.limit + 1.0 / self.limit).min(MOST as f64);
            }
            None if ended.sent_at >= self.cut_at => {
                self.cut_at = ended.now;
                self.limit = (self.limit / 2.0).max(1.0);
            }
            _ => {}
        }
    }
}

/// The average time of the calls of one second, if there are ten: what Netflix's laws look at (`WindowedLimit`).
#[derive(Default)]
struct Second {
    ends: f64,
    calls: f64,
    time: f64,
    refused: bool,
    in_flight: usize,
}

impl Second {
    fn add(&mut self, ended: Ended) -> Option<Self> {
        self.calls += 1.0;
        self.time += ended.now - ended.sent_at;
        self.refused |= ended.work.is_none();
        self.in_flight = self.in_flight.max(ended.in_flight);
        if ended.now < self.ends {
            return None;
        }
        let whole = std::mem::replace(self, Self { ends: ended.now + 1.0, ..Self::default() });
        (whole.calls >= 10.0).then_some(whole)
    }
}

/// Netflix's `Gradient2Limit`: as far below as the time of a call is above its long average, and 4 more.
pub(super) struct Gradient2 {
    limit: f64,
    second: Second,
    samples: f64,
    long: f64,
}

impl Gradient2 {
    pub(super) fn new() -> Self {
        Self { limit: 20.0, second: Second::default(), samples: 0.0, long: 0.0 }
    }
}

impl Law for Gradient2 {
    fn limit(&self) -> usize {
        self.limit as usize
    }

    fn ended(&mut self, ended: Ended) {
        let Some(second) = self.second.add(ended) else { return };
        let time = second.time / second.calls;
        self.samples += 1.0;
        let share = if self.samples <= 10.0 { 1.0 / self.samples } else { 2.0 / 601.0 };
        self.long += share * (time - self.long);
        if self.long > 2.0 * time {
            self.long *= 0.9;
        }
        if (second.in_flight as f64) < self.limit / 2.0 {
            return;
        }
        let gradient = (self.long / time).clamp(0.5, 1.0);
        let next = 0.8 * self.limit + 0.2 * (self.limit * gradient + 4.0);
        self.limit = next.clamp(20.0, MOST as f64);
    }
}

/// Netflix's `VegasLimit`: more while few wait, fewer while many do, by how much a call is slower than the fastest.
pub(super) struct Vegas {
    limit: f64,
    second: Second,
    fastest: f64,
    samples: f64,
}

impl Vegas {
    pub(super) fn new() -> Self {
        Self { limit: 20.0, second: Second::default(), fastest: 0.0, samples: 0.0 }
    }
}

impl Law for Vegas {
    fn limit(&self) -> usize {
        self.limit as usize
    }

    fn ended(&mut self, ended: Ended) {
        let Some(second) = self.second.add(ended) else { return };
        let time = second.time / second.calls;
        self.samples += 1.0;
        // It looks for the fastest anew after 15 to 30 times its limit.
        let anew = self.samples > 22.0 * self.limit;
        if anew || self.fastest == 0.0 || time < self.fastest {
            self.fastest = time;
            self.samples = if anew { 0.0 } else { self.samples };
            return;
        }
        let waiting = (self.limit * (1.0 - self.fastest / time)).ceil();
        let step = self.limit.log10().floor().max(1.0);
        let change = match () {
            () if second.refused => -step,
            () if 2.0 * (second.in_flight as f64) < self.limit => 0.0,
            () if waiting <= step => 6.0 * step,
            () if waiting < 3.0 * step => step,
            () if waiting > 6.0 * step => -step,
            () => 0.0,
        };
        self.limit = (self.limit + change).clamp(1.0, MOST as f64);
    }
}

/// The adaptive connections of `inspect_ai`: doubles after each round until the first refusal; then a fifth less after a
/// refusal, at most once in 15 s, and a twentieth more after each round without one.
pub(super) struct Inspect {
    limit: usize,
    successes: usize,
    was_refused: bool,
    quiet_until: f64,
}

impl Inspect {
    pub(super) fn new() -> Self {
        Self { limit: 20, successes: 0, was_refused: false, quiet_until: 0.0 }
    }

    /// Multiples of 5 from 10 on.
    fn nice(limit: usize) -> usize {
        if limit < 10 { limit.max(1) } else { limit / 5 * 5 }
    }
}

impl Law for Inspect {
    fn limit(&self) -> usize {
        self.limit
    }

    fn ended(&mut self, ended: Ended) {
        if ended.work.is_none() {
            self.successes = 0;
            self.was_refused = true;
            if ended.now >= self.quiet_until {
                self.quiet_until = ended.now + 15.0;
                self.limit = Self::nice(self.limit * 4 / 5);
            }
            return;
        }
        if ended.now < self.quiet_until {
            return;
        }
        self.successes += 1;
        if self.successes < self.limit.max(4) {
            return;
        }
        self.successes = 0;
        let next = if self.was_refused {
            let more = self.limit + (self.limit / 20).max(1);
            if more < 10 { more } else { Self::nice(more + 4) }
        } else {
            2 * self.limit
        };
        self.limit = next.min(MOST);
    }
}
