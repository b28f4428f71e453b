//! Who is let through by a rate.

use std::convert::Infallible;

use tokio::time::Instant;

use super::Rate;
use crate::{
    bucket::Bucket,
    line::{Desk, Verdict},
};

/// One bucket, first come first served.
#[derive(Debug)]
pub(super) struct RateDesk {
    bucket: Bucket,
    /// The sum of what those in line want.
    queued: u128,
    next_round: Option<Instant>,
}

impl RateDesk {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        let bucket = Bucket::full(rate.amount(), rate.period(), rate.capacity(), now);
        Self { bucket, queued: 0, next_round: None }
    }

    pub(super) fn set_rate(&mut self, rate: Rate, now: Instant) {
        self.bucket.refill(now);
        self.bucket.reshape(rate.amount(), rate.period(), rate.capacity());
    }

    pub(super) fn available(&mut self, now: Instant) -> u64 {
        self.bucket.refill(now);
        u64::try_from(self.bucket.units().max(0)).unwrap_or(u64::MAX)
    }
}

impl Desk for RateDesk {
    type Ask = u64;
    type Never = Infallible;
    type Reason = ();

    fn never(&self, _: &u64) -> Option<Infallible> {
        None
    }

    #[inline]
    fn admit_at_once(&mut self, &cost: &u64, now: Instant) -> bool {
        self.bucket.refill(now);
        self.bucket.take_if_covered(cost)
    }

    #[inline]
    fn begin(&mut self, now: Instant) {
        self.bucket.refill(now);
        self.next_round = None;
    }

    #[inline]
    fn consider(&mut self, &cost: &u64) -> Verdict {
        if self.bucket.covers(cost, 0) {
            self.bucket.take(cost);
            return Verdict::Admit;
        }
        self.next_round = self.bucket.covers_at(cost, 0);
        Verdict::Stop
    }

    fn next_round(&self) -> Option<Instant> {
        self.next_round
    }

    fn estimate(&mut self, &cost: &u64, now: Instant) -> (Option<Instant>, ()) {
        self.bucket.refill(now);
        (self.bucket.covers_at(cost, self.queued), ())
    }

    fn reason(&self) {}

    fn joined(&mut self, &cost: &u64) {
        self.queued += u128::from(cost);
    }

    fn left(&mut self, &cost: &u64) {
        self.queued -= u128::from(cost);
    }

    fn give_back(&mut self, &cost: &u64) {
        self.bucket.put(cost);
    }
}
