//! One limit in one dimension: a bucket, and what the server said about its own.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    cost::{Cost, Dimension},
    error::TooLarge,
    signals::Reading,
};
use crate::bucket::Bucket;

/// The server may have less than it said by what others took in the meantime, or it measures time a little differently.
/// So its word raises a level only to this much below what it said, in time of the rate.
const GUARD: Duration = Duration::from_millis(150);

/// Full trust in the server's burst. Halved by each refusal, regained one by one with each reply.
const FULL_TRUST: u32 = 64;

/// A limit per window.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) dimension: Dimension,
    pub(super) window: Duration,
    pub(super) bucket: Bucket,
    /// The lower of what the user told and of what was heard from the server.
    limit: u64,
    told: Option<u64>,
    heard: Option<u64>,
    burst: Burst,
    /// What the server has shown to hold at once, if more than the burst.
    learned: u64,
    trust: u32,
}

/// How much may come at once.
#[derive(Debug, Clone, Copy)]
pub(super) enum Burst {
    /// What comes in this time, and never more.
    Fixed(Duration),
    /// What comes in a second, until the server shows that it allows more.
    Learned,
}

impl Burst {
    fn units(self, limit: u64, window: Duration) -> u64 {
        let time = match self {
            Self::Fixed(time) => time,
            Self::Learned => Duration::from_secs(1),
        };
        let parts = u128::from(limit).saturating_mul(time.as_nanos());
        u64::try_from(parts / window.as_nanos().max(1)).unwrap_or(u64::MAX).clamp(1, limit.max(1))
    }
}

impl Meter {
    /// A limit the user told.
    pub(super) fn told(
        dimension: Dimension,
        window: Duration,
        limit: u64,
        burst: Burst,
        now: Instant,
    ) -> Self {
        let bucket = Bucket::full(limit, window, burst.units(limit, window), now);
        let told = Some(limit);
        Self { dimension, window, bucket, limit, told, heard: None, burst, learned: 0, trust: FULL_TRUST }
    }

    /// A limit first heard of from the server. It starts empty: what is in it is for the reading to say.
    pub(super) fn heard(
        dimension: Dimension,
        window: Duration,
        limit: u64,
        burst: Burst,
        now: Instant,
    ) -> Self {
        let mut meter = Self::told(dimension, window, limit, burst, now);
        meter.bucket.drain_until(now);
        meter.told = None;
        meter
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn too_large(&self, cost: &Cost) -> Option<TooLarge> {
        let (dimension, asked, limit) = (self.dimension, cost.units(self.dimension), self.limit);
        (asked > limit).then_some(TooLarge { dimension, asked, limit })
    }

    /// A request was refused, after which the gate opens at `until`. The reply may have said what remains here, and may
    /// have been `explained` by a dimension of which nothing does.
    pub(super) fn refused(&mut self, until: Instant, remaining: Option<u64>, explained: bool) {
        if remaining == Some(0) {
            self.bucket.drain_until(until);
        } else if !explained && self.window <= Duration::from_secs(60) {
            // For all that is known it is this one: what was thought to be left was not. A long window is not judged
            // by a refusal that does not speak of it, since refilling it would take too long.
            self.trust /= 2;
            self.reshape();
            self.bucket.drain_until(until);
        }
    }

    pub(super) fn let_through(&mut self) {
        self.trust = (self.trust + 1).min(FULL_TRUST);
    }

    /// Brings the level into line with what the server said is left, as of the last refill.
    ///
    /// At some moment between the sending of the request, `age` ago, and now, the server had `remaining` left. If that was
    /// at the beginning, it has since gained what the rate brings and lost `sent`; if it was at the end, neither. The
    /// level moves only as far as both agree, so an old reply can do no harm. What is `reserved` but not sent is
    /// still to come off.
    pub(super) fn read(&mut self, reading: &Reading, age: Duration, sent: Option<u128>, reserved: u128) {
        if let Some(limit) = reading.limit {
            self.heard = Some(limit);
            self.limit = self.told.map_or(limit, |told| told.min(limit));
            self.reshape();
        }
        let (Some(remaining), Some(sent)) = (reading.remaining, sent) else { return };
        let remaining = remaining.min(self.heard.unwrap_or(u64::MAX));
        let at_the_end = self.bucket.missing_to(remaining, reserved, Duration::ZERO);
        let at_the_beginning = self.bucket.missing_to(remaining, reserved.saturating_add(sent), age);
        let (less, more) = (at_the_end.min(at_the_beginning), at_the_end.max(at_the_beginning));
        if more < 0 {
            return self.bucket.shift(more);
        }
        if self.wants_less() {
            return;
        }
        if matches!(self.burst, Burst::Learned) {
            let full = reading.reset.map_or(0, |reset| self.bucket.brought_in(reset));
            self.learned = remaining.saturating_add(full);
            self.reshape();
        }
        self.bucket.shift(less.saturating_sub(self.bucket.parts_in(GUARD)).max(0));
    }

    /// Whether the user wants less than the server allows, so that what remains there is not ours to use up.
    fn wants_less(&self) -> bool {
        self.told.is_some_and(|told| self.heard.is_none_or(|heard| told < heard))
    }

    fn reshape(&mut self) {
        let limit = self.limit;
        let base = self.burst.units(limit, self.window);
        let above = self.learned.min(limit).saturating_sub(base);
        let above = u128::from(above) * u128::from(self.trust) / u128::from(FULL_TRUST);
        let capacity = base.saturating_add(u64::try_from(above).unwrap_or(u64::MAX));
        self.bucket.reshape(limit, self.window, capacity);
    }
}
