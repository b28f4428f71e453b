//! Servers that count requests and tokens, each in another way, and know when there is room again.

use std::{collections::VecDeque, time::Duration};

/// How a server counts a limit of so many per minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bucket that holds what comes in so many seconds.
    Bucket(u32),
    /// So many in each minute, counted anew at its end.
    FixedWindow,
    /// So many in the last minute, whenever one looks.
    SlidingLog,
}

/// What is left, and how long until all of it is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub(super) remaining: u64,
    pub(super) reset: Duration,
}

/// A server with a limit per minute in each of two dimensions. All or nothing, refusals cost nothing.
pub(super) struct Server<const N: usize> {
    counters: [Counter; N],
}

enum Counter {
    Bucket { rate: f64, capacity: f64, level: f64, at: f64 },
    Fixed { limit: f64, used: f64, window: f64 },
    Sliding { limit: f64, used: f64, log: VecDeque<(f64, f64)> },
}

const MINUTE: f64 = 60.0;

impl<const N: usize> Server<N> {
    pub(super) fn new(kind: Kind, limits: [u64; N]) -> Self {
        Self { counters: limits.map(|limit| Counter::new(kind, limit as f64)) }
    }

    /// Serves a request of this cost, so long after the start, or says how long it would have to wait.
    pub(super) fn request(&mut self, now: Duration, cost: [u64; N]) -> Result<(), Duration> {
        let now = now.as_secs_f64();
        let wait = (0..N).map(|i| self.counters[i].wait(now, cost[i] as f64)).fold(0.0, f64::max);
        if wait > 0.0 {
            return Err(Duration::from_secs_f64(wait));
        }
        for (counter, cost) in self.counters.iter_mut().zip(cost) {
            counter.take(now, cost as f64);
        }
        Ok(())
    }

    pub(super) fn left(&mut self, now: Duration) -> [Left; N] {
        let now = now.as_secs_f64();
        std::array::from_fn(|i| self.counters[i].left(now))
    }
}

impl Counter {
    fn new(kind: Kind, limit: f64) -> Self {
        match kind {
            Kind::Bucket(seconds) => {
                let capacity = limit * f64::from(seconds) / MINUTE;
                Self::Bucket { rate: limit / MINUTE, capacity, level: capacity, at: 0.0 }
            }
            Kind::FixedWindow => Self::Fixed { limit, used: 0.0, window: 0.0 },
            Kind::SlidingLog => Self::Sliding { limit, used: 0.0, log: VecDeque::new() },
        }
    }

    fn bring_to(&mut self, now: f64) {
        match self {
            Self::Bucket { rate, capacity, level, at } => {
                *level = capacity.min(*level + (now - *at) * *rate);
                *at = now;
            }
            Self::Fixed { used, window, .. } => {
                if (now / MINUTE).floor() > *window {
                    (*window, *used) = ((now / MINUTE).floor(), 0.0);
                }
            }
            Self::Sliding { used, log, .. } => {
                while log.front().is_some_and(|&(at, _)| at + MINUTE <= now) {
                    *used -= log.pop_front().map_or(0.0, |(_, cost)| cost);
                }
            }
        }
    }

    /// How long until there is room, in seconds; a hair more than nothing counts as nothing.
    fn wait(&mut self, now: f64, cost: f64) -> f64 {
        self.bring_to(now);
        let wait = match self {
            Self::Bucket { rate, level, .. } => (cost - *level) / *rate,
            Self::Fixed { limit, used, .. } if *used + cost <= *limit => 0.0,
            Self::Fixed { window, .. } => (*window + 1.0) * MINUTE - now,
            Self::Sliding { limit, used, log } => {
                let mut over = *used + cost - *limit;
                let gone = log.iter().find(|(_, cost)| {
                    let enough = over <= 0.0;
                    over -= if enough { 0.0 } else { *cost };
                    over <= 0.0
                });
                if *used + cost <= *limit { 0.0 } else { gone.map_or(0.0, |(at, _)| at + MINUTE - now) }
            }
        };
        if wait < 1e-7 { 0.0 } else { wait + 1e-6 }
    }

    fn take(&mut self, now: f64, cost: f64) {
        match self {
            Self::Bucket { level, .. } => *level -= cost,
            Self::Fixed { used, .. } => *used += cost,
            Self::Sliding { used, log, .. } => {
                *used += cost;
                log.push_back((now, cost));
            }
        }
    }

    fn left(&mut self, now: f64) -> Left {
        self.bring_to(now);
        let (remaining, reset) = match self {
            Self::Bucket { rate, capacity, level, .. } => (*level, (*capacity - *level) / *rate),
            Self::Fixed { limit, used, window } => (*limit - *used, (*window + 1.0) * MINUTE - now),
            Self::Sliding { limit, used, log } => {
                (*limit - *used, log.back().map_or(0.0, |(at, _)| at + MINUTE - now))
            }
        };
        Left { remaining: remaining.max(0.0) as u64, reset: Duration::from_secs_f64(reset.max(0.0)) }
    }
}
