//! The correction of a level by a reading: what the server said remains.
//!
//! The constants are tuned by `cargo bench -p outbound-benches --bench limiter -- goodput` and `-- simulation`.

use std::time::Duration;

use tokio::time::Instant;

use super::{Burst, Meter};
use crate::quota::{
    cost::{Count, growth},
    dimension::QuotaDimension,
    observation::{Observation, Reading},
    other_clients::Sample,
    sends::Sends,
};

/// Replies can overtake each other by about this much. Without it, fixed windows are overdrawn. A larger value wastes rate.
const REORDERING: Duration = Duration::from_millis(100);

/// A server is assumed to count what remains within this time after a request was sent. Both a shorter and a longer time cause
/// more refusals.
const ARRIVAL: Duration = Duration::from_millis(250);

/// A reading raises a level only to this much below what it says, in time of the rate. The server may have less by now, because
/// of other clients, or because it measures time a little differently.
const GUARD: Duration = Duration::from_millis(150);

/// What other clients take in this time is left to them, because a request takes time to arrive. A longer time causes fewer
/// refusals and wastes rate.
const OTHERS_AHEAD: Duration = Duration::from_millis(1_000);

/// A reading within this time after another one says nothing new, if less than a [`LITTLE`]th of the bucket was sent or taken
/// in between. A level that is off by less is within [`GUARD`] anyway. So of many replies per second only a few are read.
const SOON: Duration = Duration::from_millis(10);
const LITTLE: u64 = 64;

/// Two ends of a window that are closer together than this are the same, because resets are often in whole seconds.
const SAME: Duration = Duration::from_millis(1_500);

/// The usual lengths of windows. A window that the server does not name is the shortest of these that fits its resets.
const USUAL_WINDOWS: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(24 * 60 * 60),
];

/// The last reading: when it came, what it said, and what had been sent by then.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastRead {
    at: Instant,
    remaining: u64,
    sent: u64,
}

/// The time in which the server may have counted what remains, and what was sent before and after.
#[derive(Debug)]
pub(in crate::quota) struct Counted<'a> {
    pub(in crate::quota) sends: &'a Sends,
    pub(in crate::quota) refunds: &'a Sends,
    pub(in crate::quota) now: Instant,
    pub(in crate::quota) sent_at: Instant,
    /// What had been sent before, without what was refused.
    pub(in crate::quota) let_through_before: Count,
    /// The first moment at which the server may have counted. `last` is the last one.
    pub(in crate::quota) first: Moment,
    pub(in crate::quota) last: Moment,
}

/// A moment at which the server may have counted.
#[derive(Debug)]
pub(in crate::quota) struct Moment {
    pub(in crate::quota) at: Instant,
    /// What was sent after this instant had not arrived at that moment.
    pub(in crate::quota) from: Instant,
    pub(in crate::quota) sent_since: Count,
}

impl<'a> Counted<'a> {
    /// The time in which the server counted what remains. `None` if it is too long ago.
    pub(in crate::quota) fn of(
        sends: &'a Sends,
        refunds: &'a Sends,
        sent_at: Instant,
        now: Instant,
    ) -> Option<Self> {
        let first = sent_at.checked_sub(REORDERING).unwrap_or(sent_at);
        let last = sent_at.checked_add(ARRIVAL).map_or(now, |last| last.min(now));
        // What was sent just now has not arrived yet.
        let after_last = if last == now { Count::default() } else { sends.since(last)? };
        Some(Self {
            sends,
            refunds,
            now,
            sent_at,
            let_through_before: sends.before(sent_at)? - refunds.before(sent_at)?,
            first: Moment { at: sent_at, from: first, sent_since: sends.since(first)? },
            last: Moment { at: last, from: last, sent_since: after_last },
        })
    }
}

impl Meter {
    /// Whether a reading is about this limit.
    pub(in crate::quota) fn is_about(&self, dimension: QuotaDimension, reading: &Reading) -> bool {
        (self.dimension, self.named) == (dimension, reading.window)
    }

    /// The reading of a reply about this limit, if there is one.
    pub(in crate::quota) fn reading_in<'a>(&self, observation: &'a Observation) -> Option<&'a Reading> {
        let mut said = observation.readings.iter().flatten();
        said.find(|(dimension, reading)| self.is_about(*dimension, reading)).map(|(_, reading)| reading)
    }

    /// Corrects the level by what the server said remains, as of the last refill.
    ///
    /// The server had `remaining` left at some moment between the sending of the request and a little later. Since then it
    /// has gained what the rate brings, and lost what other clients took and what was sent. The level moves only as far as the
    /// first and the last of these moments agree. So an old reply does no harm. What is `reserved` and not sent is subtracted.
    ///
    /// After a refusal the level goes to a little below what remains, so that the next request is not refused for the same
    /// error.
    pub(in crate::quota) fn read(
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
        // A reading that is older than the last one names an old limit.
        let is_latest = self.server_limit_at.is_none_or(|last| sent_at >= last);
        if let Some(limit) = reading.limit.filter(|_| is_latest) {
            self.server_limit_at = Some(sent_at);
            self.server_limit = Some(limit);
            self.limit = self.user_limit.map_or(limit, |user_limit| user_limit.min(limit));
            self.reshape();
        }
        // What remains of another limit than the current one is not comparable, because units have come in at another rate.
        if !self.is_of_today(reading) {
            return;
        }
        let (Some(remaining), Some(counted)) = (reading.remaining, counted) else { return };
        let sent = counted.sends.total().units(self.dimension);
        self.last_read = Some(LastRead { at: counted.now, remaining, sent });
        // A log is exact without readings, and a reading does not say when entries leave the log.
        if self.level.has_log() {
            return;
        }
        let remaining = remaining.min(self.server_limit.unwrap_or(u64::MAX));
        let full = reading.reset.map_or(0, |reset| self.brought_in(reset));
        let new_window = self.note_window(reading, counted);
        if !self.wants_less() && !self.granted {
            self.note_others(remaining, new_window || full < remaining / 16, counted);
        }
        let fixed = self.ends.is_some();
        let reserved = reserved.units(self.dimension);
        let holds = if matches!(self.burst, Burst::Learned) { remaining.saturating_add(full) } else { 0 };
        let capacity = self.level.bucket.capacity().max(holds.min(self.limit));
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
        // Some servers count when they reply. So the assumption that the reading is as old as the request may lower the level,
        // but must not raise it.
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
            self.server_remaining = remaining;
            self.reshape();
        }
        self.shift(less.saturating_sub(self.level.bucket.parts_in(GUARD)).max(0));
    }

    /// What the server last said remains, and when the reply came. `None` if the user's limit is lower: then it says nothing
    /// about this one.
    pub(in crate::quota) fn server_remaining(&self) -> Option<(Instant, u64)> {
        self.last_read.filter(|_| !self.wants_less()).map(|last| (last.at, last.remaining))
    }

    /// Whether a reading is about the limit that the server named last, or names none.
    fn is_of_today(&self, reading: &Reading) -> bool {
        reading.limit.is_none() || reading.limit == self.server_limit
    }

    /// Whether a reading says nothing new, because it comes soon after the last one with little sent in between.
    pub(in crate::quota) fn has_read(&self, reading: &Reading, sent: Count, now: Instant) -> bool {
        let (Some(last), Some(remaining)) = (self.last_read, reading.remaining) else { return false };
        let little = self.level.bucket.capacity() / LITTLE;
        self.is_of_today(reading)
            && now.saturating_duration_since(last.at) < SOON
            && growth(last.sent, sent.units(self.dimension)) <= little
            && remaining.abs_diff(last.remaining) <= little
    }

    /// What came in at the server since a moment and was lost, because the server was full. Without this, a full server with
    /// nothing sent to it for a while would be taken for more than full.
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

    /// Corrects the length of a window that the server does not name. It is not shorter than the longest time to its end. The
    /// reset of a bucket says nothing about this, because a bucket may hold far less than the limit of its window.
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

    /// Records the end of a window, before which nothing comes in. Returns whether a new window has begun.
    fn note_window(&mut self, reading: &Reading, counted: &Counted<'_>) -> bool {
        // A user with a lower limit or a fixed burst keeps to their own rate.
        if !reading.ends_window || self.wants_less() || matches!(self.burst, Burst::Fixed(_)) {
            return false;
        }
        let Some(ends) = reading.reset.and_then(|reset| counted.last.at.checked_add(reset)) else {
            return false;
        };
        match self.ends {
            // The reply is of the window before, or its reset was rounded.
            Some(known) if ends <= known + SAME.min(self.window / 4) => return false,
            Some(known) if counted.now < known => self.level.bucket.release(counted.now),
            _ => {}
        }
        self.ends = Some(ends);
        self.level.bucket.hold_until(ends);
        true
    }

    fn note_others(&mut self, remaining: u64, full: bool, counted: &Counted<'_>) {
        let let_through_before = counted.let_through_before.units(self.dimension);
        let refills = self.ends.is_none();
        let seen = Sample { at: counted.sent_at, remaining, let_through_before, full, refills };
        let rate = self.rate();
        self.others.note(seen, rate);
        self.reshape();
    }
}
