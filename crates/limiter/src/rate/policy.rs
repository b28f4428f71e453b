//! The policy of a rate: which requests its bucket or its log admits.

use std::convert::Infallible;

use tokio::time::Instant;

use super::Rate;
use crate::{
    bucket::Bucket,
    log::Log,
    wait_queue::{Decision, Policy},
};

/// One supply of units, first come, first served.
#[derive(Debug)]
pub(super) struct RatePolicy {
    supply: Supply,
    /// The sum of the units that waiting requests want.
    queued: u128,
    next_round: Option<Instant>,
}

#[derive(Debug)]
enum Supply {
    Bucket(Bucket),
    /// Boxed, because most rates have a bucket, and the pointer makes the check for a bucket cheap.
    Log(Box<Log>),
}

impl RatePolicy {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self { supply: Supply::new(rate, now), queued: 0, next_round: None }
    }

    pub(super) fn set_rate(&mut self, rate: Rate, now: Instant) {
        self.supply.refill(now);
        match (&mut self.supply, rate.is_strict()) {
            (Supply::Bucket(bucket), false) => {
                bucket.reshape(rate.amount(), rate.period(), rate.capacity());
            }
            (Supply::Log(log), true) => log.reshape(rate.amount(), rate.period()),
            // A bucket and a log cannot be converted exactly. So the new supply starts with the units that are available.
            (before, _) => {
                let available = before.available();
                *before = Supply::new(rate, now);
                let missing = before.available().saturating_sub(available);
                before.take(missing);
            }
        }
    }

    pub(super) fn available(&mut self, now: Instant) -> u64 {
        self.supply.refill(now);
        self.supply.available()
    }

    /// Whether it is full: nothing is owed, and no more units can be saved up.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.supply.refill(now);
        match &self.supply {
            Supply::Bucket(bucket) => bucket.is_full(),
            Supply::Log(log) => log.available() == log.limit(),
        }
    }
}

impl Supply {
    fn new(rate: Rate, now: Instant) -> Self {
        if rate.is_strict() {
            Self::Log(Box::new(Log::new(rate.amount(), rate.period(), now)))
        } else {
            Self::Bucket(Bucket::full(rate.amount(), rate.period(), rate.capacity(), now))
        }
    }

    fn refill(&mut self, now: Instant) {
        match self {
            Self::Bucket(bucket) => bucket.refill(now),
            Self::Log(log) => log.refill(now),
        }
    }

    fn available(&self) -> u64 {
        match self {
            Self::Bucket(bucket) => u64::try_from(bucket.units().max(0)).unwrap_or(u64::MAX),
            Self::Log(log) => log.available(),
        }
    }

    /// Takes units if it covers them.
    fn take_if_covered(&mut self, cost: u64) -> bool {
        let covered = match self {
            Self::Bucket(bucket) => bucket.covers(cost, 0),
            Self::Log(log) => log.has(cost),
        };
        if covered {
            self.take(cost);
        }
        covered
    }

    fn take(&mut self, cost: u64) {
        match self {
            Self::Bucket(bucket) => bucket.take(cost),
            Self::Log(log) => log.take(cost),
        }
    }

    fn put(&mut self, cost: u64) {
        match self {
            Self::Bucket(bucket) => bucket.put(cost),
            Self::Log(log) => log.put(cost),
        }
    }

    fn covers_at(&self, cost: u64, ahead: u128) -> Option<Instant> {
        match self {
            Self::Bucket(bucket) => bucket.covers_at(cost, ahead),
            Self::Log(log) => log.covers_at(cost, ahead),
        }
    }
}

impl Policy for RatePolicy {
    type Cost = u64;
    type Impossible = Infallible;
    type Reason = ();

    fn impossible(&self, _: &u64) -> Option<Infallible> {
        None
    }

    #[inline]
    fn admit_at_once(&mut self, &cost: &u64, now: Instant) -> bool {
        if let Supply::Bucket(bucket) = &mut self.supply {
            bucket.refill(now);
            // A cost of 0 is not admitted while there is debt, so a round has to decide about it.
            return cost > 0 && bucket.take_if_there(cost);
        }
        false
    }

    fn begin_round(&mut self, now: Instant) {
        self.supply.refill(now);
        self.next_round = None;
    }

    fn consider(&mut self, &cost: &u64) -> Decision {
        if self.supply.take_if_covered(cost) {
            return Decision::Admit;
        }
        self.next_round = self.supply.covers_at(cost, 0);
        Decision::Stop
    }

    fn next_round(&self) -> Option<Instant> {
        self.next_round
    }

    fn estimate(&mut self, &cost: &u64, now: Instant) -> (Option<Instant>, ()) {
        self.supply.refill(now);
        (self.supply.covers_at(cost, self.queued), ())
    }

    fn reason(&self) {}

    fn joined(&mut self, &cost: &u64) {
        self.queued += u128::from(cost);
    }

    fn left(&mut self, &cost: &u64) {
        self.queued -= u128::from(cost);
    }

    fn give_back(&mut self, &cost: &u64) {
        self.supply.put(cost);
    }
}
