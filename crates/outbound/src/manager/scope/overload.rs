//! How many calls a server bears when it is overloaded.

use tokio::time::Instant;

/// How many calls may be in flight where a server says that it is overloaded: fewer when a good part of the last replies
/// were overloads, and twice as many with each round of successes until all are allowed again.
#[derive(Debug)]
pub(crate) struct OverloadLimit {
    ceiling: usize,
    bound: usize,
    /// The last replies, newest in the lowest bit: 1 for an overload.
    recent: u32,
    replies: u32,
    /// When the bound was cut last: what was sent before is no news.
    cut_at: Option<Instant>,
}

/// Fewer replies than this say nothing about a share.
const MIN_REPLIES: u32 = 8;

/// The share of overloads among the last 32 replies that cuts concurrency: one in four.
const OVERLOAD_SHARE: u32 = 4;

impl OverloadLimit {
    pub(crate) const fn new(ceiling: usize) -> Self {
        Self { ceiling, bound: ceiling, recent: 0, replies: 0, cut_at: None }
    }

    /// Before a reply has told anything, so many at most: each success lets one more out.
    pub(crate) fn start_with(&mut self, bound: usize) {
        self.bound = self.ceiling.min(bound);
    }

    /// How many calls may be in flight.
    pub(crate) const fn bound(&self) -> usize {
        self.bound
    }

    /// How many, when all is well.
    pub(crate) const fn ceiling(&self) -> usize {
        self.ceiling
    }

    pub(crate) fn succeeded(&mut self) {
        self.note(false);
        self.bound = self.bound.saturating_add(1).min(self.ceiling);
    }

    /// An overload, with so many calls in flight.
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

    /// An outage has ended: nothing that was learnt in it holds.
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
