//! A meter: one limit in one dimension, which the server's readings correct.

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

/// A log is filled up to this factor of the limit. Estimates are not exact, so filling a little more costs a few refusals and
/// gains more. It is tuned by the goodput bench of the limiter.
const ESTIMATES: f64 = 1.03;

/// A limit per window.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) dimension: QuotaDimension,
    /// The place of the dimension in a cost.
    pub(super) place: Place,
    pub(super) window: Duration,
    /// The window that the server's readings name. If it was guessed, `window` is the length that the resets have shown.
    pub(super) named: Duration,
    pub(super) level: Level,
    /// The lower one of `user_limit` and `server_limit`.
    limit: u64,
    user_limit: Option<u64>,
    server_limit: Option<u64>,
    /// When the request was sent whose reply named `server_limit`.
    server_limit_at: Option<Instant>,
    /// The last reading that the level was compared with.
    last_read: Option<LastRead>,
    burst: Burst,
    /// What the server last said remains. The capacity is not less than this.
    server_remaining: u64,
    others: OtherClients,
    /// The dimension is counted by grants, too. Then whoever grants knows the other clients.
    granted: bool,
    pub(super) unused: Unused,
    /// The limit was learned from refusals. It is an estimate, and counts estimated costs.
    pub(super) learned_limit: bool,
    /// The end of the server's window. Before that nothing comes in. `None` if the server has no fixed windows.
    ends: Option<Instant>,
    /// The longest reset of a window that the server does not name.
    longest_reset: Duration,
}

/// How much may come at once.
#[derive(Debug, Clone, Copy)]
pub(super) enum Burst {
    /// What comes in during this time, and never more.
    Fixed(Duration),
    /// What comes in during a second, or what the server last said remains.
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
    /// A limit that the user has set.
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
            granted: false,
            unused: Unused::new(charging.filter(|_| dimension.is_tokens())),
            learned_limit: false,
            ends: None,
            longest_reset: Duration::ZERO,
        }
    }

    /// A limit that only the server has named. It starts empty, and the reading sets its level.
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

    /// A request was refused, and the gate opens at `until`. `remaining` is what the reply says of this limit. `explained`
    /// means that the reply names a dimension with nothing left.
    pub(super) fn refused(&mut self, until: Instant, remaining: Option<u64>, explained: bool) {
        // If the reply says nothing of this limit, and no other limit explains the refusal, this one may be used up. This is
        // not assumed of a long window, because it would take too long to refill.
        let may_be_the_cause = remaining.is_none() && !explained && self.window <= Duration::from_secs(60);
        if remaining == Some(0) || may_be_the_cause {
            self.level.bucket.drain_until(until);
        }
    }

    /// Whether it is a plain bucket whose state is that of `filled_at`: units that are put back come back, there is no fixed
    /// window and no log.
    pub(super) fn is_plain(&self, filled_at: Instant) -> bool {
        let comes_back = self.unused.comes_back && !self.learned_limit;
        comes_back && self.ends.is_none() && !self.level.has_log() && self.level.bucket.is_as_of(filled_at)
    }

    /// Whether the dimension is counted by grants, too.
    pub(super) fn set_granted(&mut self, granted: bool) {
        if self.granted != granted {
            (self.granted, self.others) = (granted, OtherClients::default());
            self.reshape();
        }
    }

    /// A call has ended that used `unused` units less than was estimated.
    pub(super) fn give_back(&mut self, unused: u64) {
        self.unused.ended(unused);
        if self.unused.comes_back {
            self.level.put(unused);
        }
    }

    /// Begins the next window if the last one has ended. Then all of the limit, or of the burst, is there again.
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

    /// Changes the limit of the user. Returns whether a limit is left.
    pub(super) fn set_user_limit(&mut self, user_limit: Option<u64>) -> bool {
        let Some(limit) = [user_limit, self.server_limit].into_iter().flatten().min() else { return false };
        (self.user_limit, self.limit) = (user_limit, limit);
        self.reshape();
        true
    }

    /// Forgets what the server said, so that only the user's limit holds. Returns whether there is one.
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

    /// When a cost can be covered behind `ahead`. `None` if that is not known.
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

    /// The rate in units per second.
    pub(super) fn rate(&self) -> f64 {
        self.limit as f64 / self.window.as_secs_f64()
    }

    /// The whole units that come in during a time, for other clients as well as for this one.
    fn brought_in(&self, time: Duration) -> u64 {
        (self.rate() * time.as_secs_f64()) as u64
    }

    /// Whether the user's limit is lower than that of the server. Then what remains at the server may not be used up.
    fn wants_less(&self) -> bool {
        self.user_limit
            .is_some_and(|user_limit| self.server_limit.is_none_or(|server_limit| user_limit < server_limit))
    }

    fn reshape(&mut self) {
        let limit = self.limit;
        let capacity = self.burst.units(limit, self.window).max(self.server_remaining.min(limit));
        // What other clients take does not come in here.
        let ours = ((limit as f64 * (1.0 - self.others.part())) as u64).clamp(limit.min(1), limit);
        self.level.bucket.reshape(ours, self.window, capacity);
        self.level.resize_log(self.in_span());
    }

    /// The limit of a log: what comes in during its span. A learned limit counts estimates, so it needs no factor for them.
    pub(super) fn in_span(&self) -> u64 {
        let units = self.rate() * SPAN.as_secs_f64();
        (if self.learned_limit { units } else { units * ESTIMATES }).max(1.0) as u64
    }

    pub(super) fn keep_log(&mut self, sends: &Sends, now: Instant) {
        self.level.keep_log(self.in_span(), SPAN + JITTER, sends, self.dimension, now);
    }
}
