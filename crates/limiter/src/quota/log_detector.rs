//! Whether a server counts what came in the last second, in the place of a bucket.
//!
//! A bucket that was full lets a second's worth through at once, and another in the second after it. A sliding log never
//! does. So a log that is taken for a bucket refuses after each pause, and a bucket that is taken for a log is never
//! emptied. What tells them apart is what was let through in the second before a refusal.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    cost::Count,
    meter::{Counted, Meter, Moment},
    observation::Observation,
    policy::QuotaPolicy,
};

/// What a log counts.
pub(super) const SPAN: Duration = Duration::from_secs(1);

/// What was sent counts here for so much longer, since one request takes longer to arrive than another. In the bench of
/// goodput, logs, A has 0.951 with 10 ms, 0.952 with 15 and 0.926 with 25.
pub(super) const JITTER: Duration = Duration::from_millis(10);

/// So many refusals have to fit a log, more than do not, before the server is taken for one. With readings 2 are too few:
/// B has 0.933 in fixed windows with 2 and 0.964 with 3. Without, D has 0.942 with 2 and 0.926 with 3.
const ENOUGH_READ: u8 = 3;
const ENOUGH_MEASURED: u8 = 2;
/// More are not remembered. With 2, A on a log has 0.778 in place of 0.958.
const MOST: u8 = 4;

/// Within this part of a span's worth, what was told is what a log would have said: estimates are off by as much. Half and
/// twice as much change nothing, here and in the next.
const CLOSE: f64 = 0.08;
/// A log that is fuller than this part may be the cause of a refusal.
const NEARLY_FULL: f64 = 0.75;
/// What was accepted before two refusals is the same within this part. With half of it C in fixed windows is refused 19 times
/// in 1,000 in place of 9; twice as much changes nothing.
const ALIKE: f64 = 0.1;
/// A log never accepts more than what comes in. What is far above that was saved up, as in a bucket. With 1.2, C on a log is
/// refused 14 times in 1,000 in place of 9; with 3, C on a bucket has 0.958 in place of 0.970.
const SAVED_UP: f64 = 1.5;
/// The server let this part of a span's worth through beyond what a log would have. From 0.15 to 0.5 nothing changes.
const BEYOND: f64 = 0.25;
/// This part of a span's worth was used, and was none of ours: others share what there is, and a log of our own does not
/// count them. Where others take 30 % of a bucket of a minute, 12 in 1,000 are refused with this, 25 with 0.5, and 109 where
/// only refusals are weighed so; with 0.25, A on a log has 0.817 in one run of four.
const BY_OTHERS: f64 = 0.35;

/// What refusals and readings say for a log, and against it.
#[derive(Debug, Default)]
pub(super) struct LogDetector {
    /// Refusals that fit a log, less those that do not.
    fits: u8,
    is_log: bool,
    refused_at: Option<Instant>,
}

impl LogDetector {
    pub(super) fn is_log(&self) -> bool {
        self.is_log
    }

    /// A refusal has come when a log would have been full. So many that say so make it one.
    fn fits(&mut self, enough: u8) {
        self.fits = (self.fits + 1).min(MOST);
        self.is_log |= self.fits >= enough;
    }

    /// A refusal has come when a log would have had room.
    fn does_not_fit(&mut self) {
        self.fits = if self.is_log { self.fits.saturating_sub(1) } else { 0 };
        self.is_log &= self.fits > 0;
    }

    /// The server has let more through than a log does.
    fn is_refuted(&mut self) {
        (self.fits, self.is_log) = (0, false);
    }

    /// Weighs what was accepted in the span before a refusal, by dimension, against the most that was accepted in a span
    /// before that.
    pub(super) fn weigh_accepted<const N: usize>(
        &mut self,
        accepted: [f64; N],
        most_before: [f64; N],
        come_in: [f64; N],
    ) {
        let fits = (0..N).any(|at| {
            let (accepted, most, come_in) = (accepted[at], most_before[at], come_in[at]);
            accepted > 0.0 && accepted >= (1.0 - ALIKE) * most && accepted <= SAVED_UP * come_in
        });
        if fits { self.fits(ENOUGH_MEASURED) } else { self.does_not_fit() }
    }

    /// Weighs what a reply says is left.
    pub(super) fn weigh_readings(
        &mut self,
        meters: &[Meter],
        observation: &Observation,
        is_news: bool,
        counted: &Counted<'_>,
    ) {
        let refused = observation.refusal.is_some();
        if !refused && self.fits == 0 {
            return;
        }
        let (mut fits, mut beyond, mut others) = (false, false, false);
        for meter in meters.iter().filter(|meter| !meter.is_learned()) {
            // What is left of another limit than the one that holds here says nothing.
            let said = meter
                .reading_in(observation)
                .filter(|reading| reading.limit.is_none_or(|limit| limit == meter.limit()));
            let remaining = said.and_then(|reading| reading.remaining);
            let Some(used) = remaining.and_then(|remaining| Used::of(meter, remaining, counted)) else {
                continue;
            };
            fits |= used.fits_log();
            beyond |= used.is_beyond_log();
            others |= used.is_by_others();
        }
        let now = counted.now;
        if !refused {
            // What was refused is in the sums, although it was not let through. So is what was sent in an outage, which a
            // server that keeps a log did not count.
            let refused_at = self.refused_at;
            if beyond
                && !self.is_log
                && refused_at.is_none_or(|at| now.saturating_duration_since(at) > 2 * SPAN)
            {
                self.is_refuted();
            } else if others {
                self.does_not_fit();
            }
            return;
        }
        self.refused_at = Some(now);
        match (is_news, fits, others) {
            (true, true, _) => self.fits(ENOUGH_READ),
            (true, false, true) => self.does_not_fit(),
            _ => {}
        }
    }
}

impl QuotaPolicy {
    /// Counts as the server seems to count.
    pub(super) fn follow_server(&mut self, now: Instant) {
        let is_log = self.log_detector.is_log();
        for meter in self.limits.meters_mut().iter_mut().filter(|meter| meter.level.has_log() != is_log) {
            if is_log { meter.keep_log(&self.sends, now) } else { meter.level.drop_log() }
        }
    }
}

/// What a limit has used, in a span's worth of it: as told, and by what was sent in the span before it was counted.
struct Used {
    reported: f64,
    /// The server counted at some moment; the sums of the first and the last of these are not the same.
    least: f64,
    most: f64,
    /// As `most`, without what was refused.
    ours: f64,
}

impl Used {
    fn of(meter: &Meter, remaining: u64, counted: &Counted<'_>) -> Option<Self> {
        let span = meter.in_span() as f64;
        let sums = |moment: &Moment| {
            let from = moment.at.checked_sub(SPAN)?;
            let sent = counted.sends.since(from)? - moment.sent_since;
            let refunded = counted.refunds.since(from)? - counted.refunds.since(moment.at)?;
            let part = |count: Count| count.units(meter.dimension).cast_signed().max(0) as f64 / span;
            Some((part(sent), part(sent - refunded)))
        };
        let ((first, first_let_through), (last, last_let_through)) =
            (sums(&counted.first)?, sums(&counted.last)?);
        Some(Self {
            reported: 1.0 - remaining as f64 / span,
            least: first.min(last),
            most: first.max(last),
            ours: first_let_through.max(last_let_through),
        })
    }

    fn fits_log(&self) -> bool {
        self.reported > NEARLY_FULL
            && self.least - CLOSE <= self.reported
            && self.reported <= self.most + CLOSE
    }

    fn is_beyond_log(&self) -> bool {
        self.least > self.reported + BEYOND
    }

    fn is_by_others(&self) -> bool {
        self.reported > self.ours + BY_OTHERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_refusals_at_the_same_sum_are_a_log_and_what_was_saved_up_is_none() {
        let mut sliding = LogDetector::default();
        sliding.weigh_accepted([50.0], [50.0], [48.0]);
        assert!(!sliding.is_log());
        sliding.weigh_accepted([49.0], [50.0], [48.0]);
        assert!(sliding.is_log(), "the second");
        sliding.weigh_accepted([30.0], [50.0], [48.0]);
        assert!(sliding.is_log(), "one that does not fit is not enough");
        sliding.weigh_accepted([30.0], [50.0], [48.0]);
        assert!(!sliding.is_log());
        for _ in 0..5 {
            sliding.weigh_accepted([90.0], [90.0], [48.0]);
        }
        assert!(!sliding.is_log(), "far more than what comes in was saved up");
        for accepted in [50.0, 30.0, 50.0, 30.0, 50.0] {
            sliding.weigh_accepted([accepted], [50.0], [48.0]);
        }
        assert!(!sliding.is_log(), "never two in a row");
    }

    #[test]
    fn a_server_that_lets_more_through_is_no_log() {
        let mut sliding = LogDetector::default();
        (0..3).for_each(|_| sliding.fits(ENOUGH_READ));
        assert!(sliding.is_log());
        sliding.is_refuted();
        assert!(!sliding.is_log());
        (0..2).for_each(|_| sliding.fits(ENOUGH_READ));
        assert!(!sliding.is_log(), "readings have to say so three times");
    }
}
