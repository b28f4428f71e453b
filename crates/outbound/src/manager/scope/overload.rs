//! A concurrency limit for an overloaded server.

use tokio::time::Instant;

/// How many calls may be in flight at an overloaded server. The limit is halved when a good part of the last replies
/// were overloads. It doubles with each round of successes, up to the ceiling.
#[derive(Debug)]
pub(crate) struct OverloadLimit {
    ceiling: usize,
    bound: usize,
    /// The last replies, newest in the lowest bit: 1 for an overload.
    recent: u32,
    replies: u32,
    /// When the limit was halved last. An overload of a call that was sent earlier is ignored.
    cut_at: Option<Instant>,
}

/// With fewer replies the share of overloads means nothing.
const MIN_REPLIES: u32 = 8;

/// Concurrency is halved when at least one in four of the last 32 replies was an overload.
const OVERLOAD_SHARE: u32 = 4;

impl OverloadLimit {
    pub(crate) const fn new(ceiling: usize) -> Self {
        Self { ceiling, bound: ceiling, recent: 0, replies: 0, cut_at: None }
    }

    /// The limit before the first reply. Each success raises it by one.
    pub(crate) fn start_with(&mut self, bound: usize) {
        self.bound = self.ceiling.min(bound);
    }

    /// How many calls may be in flight.
    pub(crate) const fn bound(&self) -> usize {
        self.bound
    }

    /// The limit when the server is not overloaded.
    pub(crate) const fn ceiling(&self) -> usize {
        self.ceiling
    }

    pub(crate) fn succeeded(&mut self) {
        self.note(false);
        self.bound = self.bound.saturating_add(1).min(self.ceiling);
    }

    /// A reply was an overload. `in_flight` is the number of calls in flight.
    pub(crate) fn overloaded(&mut self, sent_at: Instant, now: Instant, in_flight: usize) {
        self.note(true);
        let known = self.replies.min(u32::BITS);
        let share_is_high = self.recent.count_ones() * OVERLOAD_SHARE >= known;
        let is_news = self.cut_at.is_none_or(|cut_at| sent_at > cut_at);
        if known >= MIN_REPLIES && share_is_high && is_news {
            self.bound = self.bound.min(in_flight).div_ceil(2).max(1);
            self.cut_at = Some(now);
        }
    }

    /// An outage has ended. What was learnt in it is forgotten.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.ceiling);
    }

    fn note(&mut self, overload: bool) {
        self.recent = self.recent << 1 | u32::from(overload);
        self.replies = self.replies.saturating_add(1);
    }
}

#[cfg(test)]
#[path = "overload_tests.rs"]
mod tests;
