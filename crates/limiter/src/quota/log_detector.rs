//! Detects a server that counts a sliding log of one second instead of a bucket.
//!
//! A full bucket admits one second's worth at once, and another one in the second after. A sliding log never does. So a log
//! that is taken for a bucket refuses after each pause, and a bucket that is taken for a log is never used up. The two differ
//! in what was served in the second before a refusal.
//!
//! The constants are tuned by `cargo bench -p outbound-benches --bench limiter -- goodput` and `-- simulation`.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    cost::Count,
    meter::{Counted, Meter, Moment},
    observation::Observation,
    policy::QuotaPolicy,
};

/// The time that a log counts.
pub(super) const SPAN: Duration = Duration::from_secs(1);

/// What was sent counts here for this much longer, because some requests take longer to arrive than others.
pub(super) const JITTER: Duration = Duration::from_millis(10);

/// This many more refusals have to fit a log than do not, before the server is taken for a log: with readings and without. With
/// readings fewer are not enough, because fixed windows would be taken for logs.
const ENOUGH_READ: u8 = 3;
const ENOUGH_MEASURED: u8 = 2;
/// At most this many refusals that fit are remembered.
const MOST: u8 = 4;

// The shares below are of one span's worth: what comes in during `SPAN`.

/// A reading fits a log if it differs by no more than this from what a log would report. Estimates are off by as much.
const CLOSE: f64 = 0.08;
/// A log may be the cause of a refusal if more than this share of it is used.
const NEARLY_FULL: f64 = 0.75;
/// What was accepted before two refusals counts as the same within this share.
const ALIKE: f64 = 0.1;
/// A log never accepts more than what comes in. If this factor more was accepted, it was saved up, as in a bucket.
const SAVED_UP: f64 = 1.5;
/// The server is no log if it has admitted this share more than a log would.
const BEYOND: f64 = 0.25;
/// If this share was used and was not sent from here, other clients use the key. A log of our own would not count them.
const BY_OTHERS: f64 = 0.35;

/// The evidence of refusals and readings for and against a log.
#[derive(Debug, Default)]
pub(super) struct LogDetector {
    /// Refusals that fit a log, minus those that do not.
    fits: u8,
    is_log: bool,
    refused_at: Option<Instant>,
}

impl LogDetector {
    pub(super) fn is_log(&self) -> bool {
        self.is_log
    }

    /// A refusal has come when a log would have been full. After `enough` of these the server is taken for a log.
    fn fits(&mut self, enough: u8) {
        self.fits = (self.fits + 1).min(MOST);
        self.is_log |= self.fits >= enough;
    }

    /// A refusal has come when a log would have had room.
    fn does_not_fit(&mut self) {
        self.fits = if self.is_log { self.fits.saturating_sub(1) } else { 0 };
        self.is_log &= self.fits > 0;
    }

    /// The server has admitted more than a log would.
    fn is_refuted(&mut self) {
        (self.fits, self.is_log) = (0, false);
    }

    /// Judges what was accepted in the span before a refusal, by dimension, against the most that was accepted in any span
    /// before.
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

    /// Judges what a reply says remains.
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
            // A reading of another limit than the one that holds here says nothing.
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
            // The sums also contain requests that were refused, and requests sent in an outage. A server that keeps a log has
            // counted neither.
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
    /// Makes all meters count as the server seems to count: by a log or by a bucket.
    pub(super) fn follow_server(&mut self, now: Instant) {
        let is_log = self.log_detector.is_log();
        for meter in self.limits.meters_mut().iter_mut().filter(|meter| meter.level.has_log() != is_log) {
            if is_log { meter.keep_log(&self.sends, now) } else { meter.level.drop_log() }
        }
    }
}

/// What is used of a limit, as a share of one span's worth: as the server reported it, and by what was sent in the span before
/// it counted.
struct Used {
    reported: f64,
    /// The server may have counted at several moments. This is the smaller sum of the first and the last of them, and `most`
    /// is the larger one.
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
        assert!(sliding.is_log(), "the second refusal that fits");
        sliding.weigh_accepted([30.0], [50.0], [48.0]);
        assert!(sliding.is_log(), "one refusal that does not fit is not enough to go back");
        sliding.weigh_accepted([30.0], [50.0], [48.0]);
        assert!(!sliding.is_log());
        for _ in 0..5 {
            sliding.weigh_accepted([90.0], [90.0], [48.0]);
        }
        assert!(!sliding.is_log(), "far more than what comes in must have been saved up");
        for accepted in [50.0, 30.0, 50.0, 30.0, 50.0] {
            sliding.weigh_accepted([accepted], [50.0], [48.0]);
        }
        assert!(!sliding.is_log(), "there were never two in a row");
    }

    #[test]
    fn a_server_that_lets_more_through_is_no_log() {
        let mut sliding = LogDetector::default();
        (0..3).for_each(|_| sliding.fits(ENOUGH_READ));
        assert!(sliding.is_log());
        sliding.is_refuted();
        assert!(!sliding.is_log());
        (0..2).for_each(|_| sliding.fits(ENOUGH_READ));
        assert!(!sliding.is_log(), "with readings it takes three");
    }
}
