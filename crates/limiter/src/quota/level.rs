//! The units that a limit has now: in a bucket, or in a log.

use std::time::Duration;

use tokio::time::Instant;

use super::{dimension::QuotaDimension, sends::Sends};
use crate::{bucket::Bucket, log::Log};

/// A bucket, and a log of what was sent lately where the server seems to keep one. While there is a log, only the log counts.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) bucket: Bucket,
    /// Boxed, because most limits have none. To check that is one comparison.
    log: Option<Box<Log>>,
}

impl Level {
    pub(super) fn new(bucket: Bucket) -> Self {
        Self { bucket, log: None }
    }

    pub(super) fn has_log(&self) -> bool {
        self.log.is_some()
    }

    /// Starts a log: no more than `units` are admitted in any stretch of time as long as `span`. What was sent just before
    /// counts too.
    pub(super) fn keep_log(
        &mut self,
        units: u64,
        span: Duration,
        sends: &Sends,
        dimension: QuotaDimension,
        now: Instant,
    ) {
        let mut log = Log::new(units, span, now.checked_sub(span).unwrap_or(now));
        sends.each_entry_since(now.checked_sub(span).unwrap_or(now), dimension, |at, units| {
            log.refill(at);
            log.take(units);
        });
        log.refill(now);
        self.log = Some(Box::new(log));
    }

    /// Changes the limit of the log, if there is one.
    pub(super) fn resize_log(&mut self, units: u64) {
        if let Some(log) = &mut self.log {
            log.reshape(units, log.window());
        }
    }

    /// Drops the log, so that the bucket counts again.
    pub(super) fn drop_log(&mut self) {
        self.log = None;
    }

    /// Brings the log up to date. The bucket is refilled separately, together with other buckets.
    pub(super) fn refill_log(&mut self, now: Instant) {
        if let Some(log) = &mut self.log {
            log.refill(now);
        }
    }

    /// Takes units if it has them, as of the last refill.
    pub(super) fn take_if_there(&mut self, units: u64) -> bool {
        match &mut self.log {
            None => self.bucket.take_if_there(units),
            Some(log) => log.take_if_there(units),
        }
    }

    /// Takes units, into debt if necessary.
    pub(super) fn take(&mut self, units: u64) {
        match &mut self.log {
            None => self.bucket.take(units),
            Some(log) => log.take(units),
        }
    }

    /// Puts units back.
    pub(super) fn put(&mut self, units: u64) {
        match &mut self.log {
            None => self.bucket.put(units),
            Some(log) => log.put(units),
        }
    }

    /// Whether units may be taken behind `ahead`, as of the last refill. More units than it can hold may be taken when it is
    /// full.
    pub(super) fn covers(&self, units: u64, ahead: u128) -> bool {
        match &self.log {
            None => self.bucket.covers(units, ahead),
            Some(log) => log.covers(units.min(log.limit()), ahead),
        }
    }

    /// Whether there will be enough by an instant for the units and all of `ahead`.
    pub(super) fn covers_by(&self, by: Instant, units: u64, ahead: u128) -> bool {
        match &self.log {
            None => self.bucket.covers_by(by, units, ahead),
            Some(log) => log.covers_by(by, units.min(log.limit()), ahead),
        }
    }

    /// When units can be taken behind `ahead`. `None` if that is not known.
    pub(super) fn covers_at(&self, units: u64, ahead: u128) -> Option<Instant> {
        match &self.log {
            None => self.bucket.covers_at(units, ahead),
            Some(log) => log.covers_at(units.min(log.limit()), ahead),
        }
    }

    /// Whether it is full, as of the last refill.
    pub(super) fn is_full(&self) -> bool {
        match &self.log {
            None => self.bucket.is_full(),
            Some(log) => log.available() == log.limit(),
        }
    }

    /// The whole units that may be taken, as of the last refill.
    pub(super) fn available(&self) -> u64 {
        match &self.log {
            None => u64::try_from(self.bucket.units().max(0)).unwrap_or(u64::MAX),
            Some(log) => log.available(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::cost::Cost;

    #[test]
    fn a_log_begins_with_what_was_sent_just_now() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut sends = Sends::default();
        for at in [0, 1_500, 1_900] {
            sends.record(&Cost::request(), start + Duration::from_millis(at));
        }
        let now = start + 2 * second;
        let mut level = Level::new(Bucket::full(600, 60 * second, 10, now));
        level.keep_log(10, second, &sends, QuotaDimension::Requests, now);
        assert!(level.has_log() && level.available() == 8 && !level.is_full());
        assert!(level.take_if_there(8) && !level.take_if_there(1) && !level.covers(1, 0));
        assert_eq!(level.covers_at(1, 0), Some(start + Duration::from_millis(2_500)));
        assert!(level.covers_by(start + 3 * second, 10, 0) && !level.covers_by(start + 3 * second, 11, 1));
        level.refill_log(start + 3 * second);
        assert!(level.is_full());
        level.resize_log(4);
        level.take(3);
        level.put(1);
        assert!(level.covers(9, 0) == level.covers(4, 0) && level.available() == 2);
        level.drop_log();
        assert_eq!((level.has_log(), level.available()), (false, 10), "nothing was taken from the bucket");
    }
}
