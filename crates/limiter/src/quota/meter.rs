//! One limit in one dimension: a bucket, and what the server said about its own.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    charging::{Charging, Unused},
    cost::Count,
    dimension::Dimension,
    level::Level,
    others::{Others, Seen},
    sends::Sends,
    signals::Reading,
    sliding::{JITTER, SPAN},
};
use crate::bucket::Bucket;

/// The server may have less than it said by what others took in the meantime, or it measures time a little differently.
/// So its word raises a level only to this much below what it said, in time of the rate.
const GUARD: Duration = Duration::from_millis(150);

/// What others take in this time is left to them: a request takes as long to arrive.
const OTHERS_AHEAD: Duration = Duration::from_millis(1_000);

/// Full trust in the server's burst. Halved by each refusal, regained one by one with each reply.
const FULL_TRUST: u32 = 64;

/// Estimates are off, so a log that is filled a little further costs a few refusals, and gains more: with readings, which
/// say to a millisecond when there is room. In the bench of goodput, logs, A has 0.935 with 1, 0.950 with this and 0.943
/// with 1.03.
const ESTIMATES: f64 = 1.02;

/// Moments closer together than this are the same: resets are often told in whole seconds.
const SAME: Duration = Duration::from_millis(1_500);

/// The windows in use. One that the server does not name is the shortest of these that its resets allow.
const USUAL_WINDOWS: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(24 * 60 * 60),
];

/// A limit per window.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) dimension: Dimension,
    /// Where in a cost it is.
    pub(super) place: usize,
    pub(super) window: Duration,
    /// The window by which the server's readings are known. Where it was guessed, `window` is what resets made of it.
    pub(super) named: Duration,
    pub(super) level: Level,
    /// The lower of what the user told and of what was heard from the server.
    limit: u64,
    told: Option<u64>,
    heard: Option<u64>,
    /// When the request was sent whose reply told the limit.
    limit_told_at: Option<Instant>,
    burst: Burst,
    /// What the server has shown to hold at once, if more than the burst.
    learned: u64,
    trust: u32,
    others: Others,
    pub(super) unused: Unused,
    /// The limit was learned from refusals: it is an estimate, and in the units of the estimates.
    pub(super) learned_limit: bool,
    /// The end of the server's window, in which nothing comes in.
    ends: Option<Instant>,
    /// The longest reset that was told of a window without a name.
    longest_reset: Duration,
}

/// When the server may have counted what is left, and what was sent before and after.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    pub(super) sends: &'a Sends,
    pub(super) now: Instant,
    pub(super) sent_at: Instant,
    pub(super) sent_before: Count,
    /// The first such moment.
    pub(super) first: Moment,
    pub(super) last: Moment,
}

/// A moment at which the server may have counted.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) at: Instant,
    /// From when on what was sent had not arrived.
    pub(super) from: Instant,
    pub(super) sent_since: Count,
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
        charging: Option<Charging>,
        now: Instant,
    ) -> Self {
        let bucket = Bucket::full(limit, window, burst.units(limit, window), now);
        let told = Some(limit);
        Self {
            dimension,
            place: dimension.place(),
            window,
            named: window,
            level: Level::new(bucket),
            limit,
            told,
            heard: None,
            limit_told_at: None,
            burst,
            learned: 0,
            trust: FULL_TRUST,
            others: Others::default(),
            unused: Unused::new(charging.filter(|_| dimension.is_tokens())),
            learned_limit: false,
            ends: None,
            longest_reset: Duration::ZERO,
        }
    }

    /// A limit first heard of from the server. It starts empty: what is in it is for the reading to say.
    pub(super) fn heard(
        dimension: Dimension,
        window: Duration,
        limit: u64,
        burst: Burst,
        charging: Option<Charging>,
        now: Instant,
    ) -> Self {
        let mut meter = Self::told(dimension, window, limit, burst, charging, now);
        meter.level.bucket.drain_until(now);
        meter.told = None;
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
        // A reply that says what is left has corrected the bucket already, and the hint says when more comes. If the reply
        // says nothing of this limit, and no other limit explains the refusal, this one may have been used up. A long
        // window is not judged by a refusal that does not speak of it, since refilling it would take too long.
        if remaining == Some(0) {
            self.level.bucket.drain_until(until);
        } else if remaining.is_none() && !explained && self.window <= Duration::from_secs(60) {
            self.trust /= 2;
            self.reshape();
            self.level.bucket.drain_until(until);
        }
    }

    pub(super) fn let_through(&mut self) {
        self.trust = (self.trust + 1).min(FULL_TRUST);
    }

    /// Brings the level into line with what the server said is left, as of the last refill.
    ///
    /// At some moment between the sending of the request and a little later, the server had `remaining` left. Since then
    /// it has gained what the rate brings, and lost what others take and what was sent. The level moves only as far as
    /// the first and the last of these moments agree, so an old reply can do no harm. What is `reserved` but not sent is
    /// still to come off.
    ///
    /// After a refusal the level goes to a little below what is left, so that the next is not refused for the same error.
    pub(super) fn read(
        &mut self,
        reading: &Reading,
        sent_at: Instant,
        counted: Option<&Counted<'_>>,
        reserved: &Count,
        refused: bool,
    ) {
        if reading.guessed {
            self.guess_window(reading);
        }
        // One that is older than the last says what the limit was.
        let is_latest = self.limit_told_at.is_none_or(|last| sent_at >= last);
        if let Some(limit) = reading.limit.filter(|_| is_latest) {
            self.limit_told_at = Some(sent_at);
            self.heard = Some(limit);
            self.limit = self.told.map_or(limit, |told| told.min(limit));
            self.reshape();
        }
        let (Some(remaining), Some(counted)) = (reading.remaining, counted) else { return };
        // A log is exact by itself, and what is left says nothing of when it leaves.
        if self.level.has_log() {
            return;
        }
        let remaining = remaining.min(self.heard.unwrap_or(u64::MAX));
        let full = reading.reset.map_or(0, |reset| self.brought_in(reset));
        let new_window = self.note_window(reading, counted);
        if !self.wants_less() {
            self.note_others(remaining, new_window || full < remaining / 16, counted);
        }
        let fixed = self.ends.is_some();
        let reserved = reserved.units(self.dimension);
        let shown = if matches!(self.burst, Burst::Learned) { remaining.saturating_add(full) } else { 0 };
        let capacity = self.level.bucket.capacity().max(shown.min(self.limit));
        let missing = |moment: &Moment| {
            let gone = u128::from(reserved) + u128::from(moment.sent_since.units(self.dimension));
            if fixed {
                return self.level.bucket.missing_to(remaining, gone, Duration::ZERO);
            }
            let age = counted.now.saturating_duration_since(moment.at);
            let lost = self.lost(remaining, capacity, moment, counted);
            self.level.bucket.missing_to(remaining, gone, age) - self.level.bucket.parts_of(lost)
        };
        let held_back =
            self.level.bucket.parts_of(self.rate() * self.others.part() * OTHERS_AHEAD.as_secs_f64());
        let (first, last) = (missing(&counted.first), missing(&counted.last));
        // Some servers count when they reply. That what is left is as old as the request may lower the level, but not
        // raise it.
        let latest = self.level.bucket.missing_to(remaining, u128::from(reserved), Duration::ZERO);
        let (less, more) = (first.min(last).min(latest) - held_back, first.max(last) - held_back);
        let more = if refused { more.saturating_sub(self.level.bucket.parts_in(GUARD)) } else { more };
        if more < 0 {
            return self.shift(more);
        }
        if self.wants_less() {
            return;
        }
        if matches!(self.burst, Burst::Learned) {
            self.learned = remaining.saturating_add(full);
            self.reshape();
        }
        self.shift(less.saturating_sub(self.level.bucket.parts_in(GUARD)).max(0));
    }

    /// What came in at the server since a moment and was lost, since it was full. Without it, what was left when a probe
    /// went out, after which nothing was sent for half a second, is taken for half a second's worth more than a full bucket.
    fn lost(&self, remaining: u64, capacity: u64, moment: &Moment, counted: &Counted<'_>) -> f64 {
        let rate = self.rate();
        let come_in = |at: Instant| rate * at.saturating_duration_since(moment.at).as_secs_f64();
        let mut most = 0.0_f64;
        counted.sends.each_since(moment.from, self.dimension, |at, sent| {
            most = most.max(come_in(at) - sent as f64);
        });
        let sent = moment.sent_since.units(self.dimension) as f64;
        most = most.max(come_in(counted.now) - sent);
        (remaining as f64 + most - capacity as f64).max(0.0)
    }

    fn shift(&mut self, parts: i128) {
        self.level.bucket.shift(parts);
        let per_second = self.rate();
        self.unused.moved(self.level.bucket.units_of(parts), per_second);
    }

    /// A call has ended that used less than was estimated.
    #[inline]
    pub(super) fn give_back(&mut self, unused: u64) {
        self.unused.ended(unused);
        if self.unused.comes_back {
            self.level.put(unused);
        }
    }

    /// Corrects the length of a window that the server did not name: it is no shorter than the longest time to its end.
    /// The reset of a bucket tells nothing of the kind, since a bucket may hold far less than the limit of its window.
    fn guess_window(&mut self, reading: &Reading) {
        let Some(reset) = reading.reset.filter(|_| reading.ends_window) else { return };
        self.longest_reset = self.longest_reset.max(reset);
        let window = USUAL_WINDOWS.into_iter().find(|usual| self.longest_reset <= *usual);
        if let Some(window) = window
            && window != self.window
        {
            self.window = window;
            self.reshape();
        }
    }

    /// Takes note of the end of a window, before which nothing comes in. Whether a new one has begun.
    fn note_window(&mut self, reading: &Reading, counted: &Counted<'_>) -> bool {
        // Whoever wants less than that, or no more than so much at once, keeps to a rate of his own.
        if !reading.ends_window || self.wants_less() || matches!(self.burst, Burst::Fixed(_)) {
            return false;
        }
        let Some(ends) = reading.reset.and_then(|reset| counted.last.at.checked_add(reset)) else {
            return false;
        };
        match self.ends {
            // A reply of the window before, or a reset that was rounded.
            Some(known) if ends <= known + SAME.min(self.window / 4) => return false,
            Some(known) if counted.now < known => self.level.bucket.release(counted.now),
            _ => {}
        }
        self.ends = Some(ends);
        self.level.bucket.hold_until(ends);
        true
    }

    /// Begins the next window if the last has ended: all of the limit, or of what may come at once, is there again.
    pub(super) fn roll(&mut self, now: Instant) {
        let Some(ends) = self.ends.filter(|&ends| ends <= now) else { return };
        let windows = (now - ends).as_nanos() / self.window.as_nanos().max(1) + 1;
        let next = u32::try_from(windows).ok().and_then(|windows| self.window.checked_mul(windows));
        self.ends = next.and_then(|next| ends.checked_add(next));
        self.level.bucket.fill_up();
        if let Some(ends) = self.ends {
            self.level.bucket.hold_until(ends);
        }
    }

    /// Back to what the user told. Whether anything is left.
    pub(super) fn forget_readings(&mut self) -> bool {
        let Some(told) = self.told else { return false };
        if self.ends.take().is_some() {
            self.level.bucket.fill_up();
        }
        (self.heard, self.limit, self.learned, self.others) = (None, told, 0, Others::default());
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

    fn note_others(&mut self, remaining: u64, full: bool, counted: &Counted<'_>) {
        let sent_before = counted.sent_before.units(self.dimension);
        let refills = self.ends.is_none();
        let seen = Seen { at: counted.sent_at, remaining, sent_before, full, refills };
        let rate = self.rate();
        self.others.note(seen, rate);
        self.reshape();
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
        self.told.is_some_and(|told| self.heard.is_none_or(|heard| told < heard))
    }

    fn reshape(&mut self) {
        let limit = self.limit;
        let base = self.burst.units(limit, self.window);
        let above = self.learned.min(limit).saturating_sub(base);
        let above = u128::from(above) * u128::from(self.trust) / u128::from(FULL_TRUST);
        let capacity = base.saturating_add(u64::try_from(above).unwrap_or(u64::MAX));
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
