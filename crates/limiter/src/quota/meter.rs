//! One limit in one dimension: a bucket, and what the server said about its own.

mod reading;

use std::time::Duration;

use tokio::time::Instant;

use super::{
    charging::{Charging, Unused},
    dimension::{Place, QuotaDimension},
    level::Level,
    log_detector::{JITTER, SPAN},
    other_clients::OtherClients,
    sends::Sends,
};
use crate::bucket::Bucket;

use self::reading::LastRead;
pub(super) use self::reading::{Counted, Moment};

/// Estimates are off, so a log that is filled a little further costs a few refusals, and gains more: with readings, which
/// say to a millisecond when there is room. In the bench of goodput, logs, ten seeds, A has 0.954 with 1.02 and 0.965 with
/// 1.04, which 51 refused in 1,000 pay for, in place of 34.
const ESTIMATES: f64 = 1.03;

/// A limit per window.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) dimension: QuotaDimension,
    /// Where in a cost it is.
    pub(super) place: Place,
    pub(super) window: Duration,
    /// The window by which the server's readings are known. Where it was guessed, `window` is what resets made of it.
    pub(super) named: Duration,
    pub(super) level: Level,
    /// The lower of what the user told and of what was heard from the server.
    limit: u64,
    user_limit: Option<u64>,
    server_limit: Option<u64>,
    /// When the request was sent whose reply told the limit.
    server_limit_at: Option<Instant>,
    /// The reading that the level was compared with last.
    last_read: Option<LastRead>,
    burst: Burst,
    /// What the server last said it has, if more than the burst.
    server_remaining: u64,
    others: OtherClients,
    pub(super) unused: Unused,
    /// The limit was learned from refusals: it is an estimate, and in the units of the estimates.
    pub(super) learned_limit: bool,
    /// The end of the server's window, in which nothing comes in.
    ends: Option<Instant>,
    /// The longest reset that was told of a window without a name.
    longest_reset: Duration,
}

/// How much may come at once.
#[derive(Debug, Clone, Copy)]
pub(super) enum Burst {
    /// What comes in this time, and never more.
    Fixed(Duration),
    /// What comes in a second, or what the server last said it has.
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
    pub(super) fn from_user(
        dimension: QuotaDimension,
        window: Duration,
        limit: u64,
        burst: Burst,
        charging: Option<Charging>,
        now: Instant,
    ) -> Self {
        let bucket = Bucket::full(limit, window, burst.units(limit, window), now);
        let user_limit = Some(limit);
        Self {
            dimension,
            place: dimension.place(),
            window,
            named: window,
            level: Level::new(bucket),
            limit,
            user_limit,
            server_limit: None,
            server_limit_at: None,
            last_read: None,
            burst,
            server_remaining: 0,
            others: OtherClients::default(),
            unused: Unused::new(charging.filter(|_| dimension.is_tokens())),
            learned_limit: false,
            ends: None,
            longest_reset: Duration::ZERO,
        }
    }

    /// A limit first heard of from the server. It starts empty: what is in it is for the reading to say.
    pub(super) fn from_server(
        dimension: QuotaDimension,
        window: Duration,
        limit: u64,
        burst: Burst,
        charging: Option<Charging>,
        now: Instant,
    ) -> Self {
        let mut meter = Self::from_user(dimension, window, limit, burst, charging, now);
        meter.level.bucket.drain_until(now);
        meter.user_limit = None;
        meter
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn is_learned(&self) -> bool {
        self.learned_limit
    }

    pub(super) fn set_learned(&mut self, limit: u64) {
        self.limit = limit;
        self.reshape();
    }

    /// A request was refused, after which the gate opens at `until`. The reply may have said what remains here, and may
    /// have been `explained` by a dimension of which nothing does.
    pub(super) fn refused(&mut self, until: Instant, remaining: Option<u64>, explained: bool) {
        // If the reply says nothing of this limit, and no other limit explains the refusal, this one may have been used up. A
        // long window is not judged by that, since refilling it would take too long.
        let may_be_the_cause = remaining.is_none() && !explained && self.window <= Duration::from_secs(60);
        if remaining == Some(0) || may_be_the_cause {
            self.level.bucket.drain_until(until);
        }
    }

    /// Whether it is a bucket and nothing else, which was brought up to date at an instant: whatever is put back comes back,
    /// and nothing happens to it but that it fills.
    pub(super) fn is_plain(&self, filled_at: Instant) -> bool {
        let comes_back = self.unused.comes_back && !self.learned_limit;
        comes_back && self.ends.is_none() && !self.level.has_log() && self.level.bucket.is_as_of(filled_at)
    }

    /// A call has ended that used so much less than was estimated.
    pub(super) fn give_back(&mut self, unused: u64) {
        self.unused.ended(unused);
        if self.unused.comes_back {
            self.level.put(unused);
        }
    }

    /// Begins the next window if the last has ended: all of the limit, or of what may come at once, is there again.
    pub(super) fn roll(&mut self, now: Instant) {
        if let Some(ends) = self.ends.filter(|&ends| ends <= now) {
            self.begin_window(ends, now);
        }
    }

    #[cold]
    fn begin_window(&mut self, ends: Instant, now: Instant) {
        let windows = (now - ends).as_nanos() / self.window.as_nanos().max(1) + 1;
        let next = u32::try_from(windows).ok().and_then(|windows| self.window.checked_mul(windows));
        self.ends = next.and_then(|next| ends.checked_add(next));
        self.server_remaining = self.limit;
        self.reshape();
        self.level.bucket.fill_up();
        if let Some(ends) = self.ends {
            self.level.bucket.hold_until(ends);
        }
    }

    /// What the user tells from here on. Whether anything is left.
    pub(super) fn set_user_limit(&mut self, user_limit: Option<u64>) -> bool {
        let Some(limit) = [user_limit, self.server_limit].into_iter().flatten().min() else { return false };
        (self.user_limit, self.limit) = (user_limit, limit);
        self.reshape();
        true
    }

    /// Back to what the user told. Whether anything is left.
    pub(super) fn forget_readings(&mut self) -> bool {
        let Some(user_limit) = self.user_limit else { return false };
        if self.ends.take().is_some() {
            self.level.bucket.fill_up();
        }
        (self.server_limit, self.limit, self.server_remaining, self.others) =
            (None, user_limit, 0, OtherClients::default());
        self.reshape();
        true
    }

    /// When a cost can be covered behind others. `None`: not in any foreseeable time.
    pub(super) fn covers_at(&self, units: u64, ahead: u128) -> Option<Instant> {
        let at = self.level.covers_at(units, ahead);
        if self.level.has_log() {
            return at;
        }
        let fits = ahead.saturating_add(u128::from(units)) <= u128::from(self.level.bucket.capacity());
        match self.ends {
            Some(ends) if fits => at.map(|at| at.min(ends)).or(Some(ends)),
            _ => at,
        }
    }

    /// In units per second.
    pub(super) fn rate(&self) -> f64 {
        self.limit as f64 / self.window.as_secs_f64()
    }

    /// The whole units that come in in a time, for others as well as for us.
    fn brought_in(&self, time: Duration) -> u64 {
        (self.rate() * time.as_secs_f64()) as u64
    }

    /// Whether the user wants less than the server allows, so that what remains there is not ours to use up.
    fn wants_less(&self) -> bool {
        self.user_limit
            .is_some_and(|user_limit| self.server_limit.is_none_or(|server_limit| user_limit < server_limit))
    }

    fn reshape(&mut self) {
        let limit = self.limit;
        let capacity = self.burst.units(limit, self.window).max(self.server_remaining.min(limit));
        // What others take does not come in for us.
        let ours = ((limit as f64 * (1.0 - self.others.part())) as u64).clamp(limit.min(1), limit);
        self.level.bucket.reshape(ours, self.window, capacity);
        self.level.resize_log(self.in_span());
    }

    /// What comes in while a log counts. What was learned was counted in our estimates, what was told was not.
    pub(super) fn in_span(&self) -> u64 {
        let units = self.rate() * SPAN.as_secs_f64();
        (if self.learned_limit { units } else { units * ESTIMATES }).max(1.0) as u64
    }

    pub(super) fn keep_log(&mut self, sends: &Sends, now: Instant) {
        self.level.keep_log(self.in_span(), SPAN + JITTER, sends, self.dimension, now);
    }
}
