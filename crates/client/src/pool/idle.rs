//! Idle HTTP/1.1 connections, and how long a server seems to keep them.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::connection::{Connection, sooner};

/// An HTTP/1.1 connection without a request.
pub(super) struct Idle {
    pub(super) connection: Connection,
    pub(super) since: Instant,
    /// When it is closed, if no request uses it before.
    pub(super) expires: Option<Instant>,
}

impl Idle {
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

/// The ages at which a server was seen to close idle connections, and the age up to which a connection can be used.
///
/// A connection may end for many reasons. Only ages that agree are taken for the server's own limit: three closings
/// within ten minutes, whose ages differ by one second at most, or by a quarter. Then a connection is used up to the
/// smallest of those ages, less a margin. If a connection stays alive longer, the earlier observations are dropped.
#[derive(Default)]
pub(super) struct IdleAges {
    /// The newest one is last.
    seen: VecDeque<Seen>,
    learned: Option<Learned>,
}

#[derive(Clone, Copy)]
struct Seen {
    age: Duration,
    at: Instant,
}

#[derive(Clone, Copy)]
struct Learned {
    limit: Duration,
    /// When too few of the ages that agree are recent.
    until: Instant,
}

impl IdleAges {
    /// No server has an idle time as short as this. A connection that ends earlier ends for another reason.
    const MIN_AGE: Duration = Duration::from_secs(1);
    /// Closings within this time count as one event.
    const ONE_EVENT: Duration = Duration::from_secs(1);
    /// How many ages have to agree.
    const MIN_AGREEING: usize = 3;
    /// How many ages are kept.
    const MAX_SEEN: usize = 8;
    const MAX_SEEN_AGE: Duration = Duration::from_secs(600);

    /// The age up to which an idle connection is used, if the server seems to have a limit.
    pub(super) fn limit(&self, now: Instant) -> Option<Duration> {
        self.learned.filter(|learned| now < learned.until).map(|learned| learned.limit)
    }

    /// The server closed a connection that had been idle for `age`.
    pub(super) fn closed(&mut self, age: Duration, now: Instant) {
        if age < Self::MIN_AGE {
            return;
        }
        match self.seen.back_mut() {
            Some(last) if now.duration_since(last.at) < Self::ONE_EVENT => last.age = last.age.min(age),
            _ => {
                if self.seen.len() == Self::MAX_SEEN {
                    self.seen.pop_front();
                }
                self.seen.push_back(Seen { age, at: now });
            }
        }
        self.learn(now);
    }

    /// A connection that had been idle for `age` was still alive.
    #[inline]
    pub(super) fn outlasted(&mut self, age: impl FnOnce() -> Duration, now: Instant) {
        if !self.seen.is_empty() {
            self.forget(age(), now);
        }
    }

    #[inline(never)]
    fn forget(&mut self, age: Duration, now: Instant) {
        let before = self.seen.len();
        self.seen.retain(|seen| seen.age >= age);
        if self.seen.len() < before {
            self.learn(now);
        }
    }

    fn learn(&mut self, now: Instant) {
        self.seen.retain(|seen| now.duration_since(seen.at) < Self::MAX_SEEN_AGE);
        let agree = |youngest: Duration| {
            let oldest = youngest + (youngest / 4).max(Duration::from_secs(1));
            let mut at: Vec<_> = self
                .seen
                .iter()
                .filter(|seen| (youngest..=oldest).contains(&seen.age))
                .map(|seen| seen.at)
                .collect();
            // In order of time. The newest ages count, as many as are needed.
            let oldest_needed = at.len().checked_sub(Self::MIN_AGREEING)?;
            Some(at.swap_remove(oldest_needed) + Self::MAX_SEEN_AGE)
        };
        let learned = self.seen.iter().filter_map(|seen| Some((seen.age, agree(seen.age)?)));
        self.learned =
            learned.min().map(|(age, until)| Learned { limit: sooner(age).max(Self::MIN_AGE), until });
    }
}

#[cfg(test)]
mod tests;
