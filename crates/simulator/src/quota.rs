//! What the provider allows: a bucket per dimension, and an admission that takes from all of them or from none.

use std::time::Duration;

use crate::bucket::Bucket;

/// What a quota counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Requests.
    Requests,
    /// Tokens, input and output together.
    Tokens,
    /// Tokens of the prompt.
    InputTokens,
    /// Tokens of the answer.
    OutputTokens,
}

impl Dimension {
    /// As it is written in headers and in the ledger: `requests`, `tokens`, `input-tokens`, `output-tokens`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input-tokens",
            Self::OutputTokens => "output-tokens",
        }
    }
}

/// What one request takes from the quotas, besides being one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cost {
    pub(crate) input: u64,
    pub(crate) output: u64,
}

impl Cost {
    pub(crate) fn of(self, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::Requests => 1,
            Dimension::Tokens => self.input.saturating_add(self.output),
            Dimension::InputTokens => self.input,
            Dimension::OutputTokens => self.output,
        }
    }
}

/// The dimension that is short, or the one with the longest wait if several are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverQuota {
    pub(crate) dimension: Dimension,
    pub(crate) limit: u64,
    pub(crate) requested: u64,
    /// Until the same request would be admitted if nobody else came; none if it never will be.
    pub(crate) wait: Option<Duration>,
}

/// How a dimension stands, for the limit headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) dimension: Dimension,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) full_in: Duration,
}

/// Times are given as time since the start of the simulator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quotas {
    // In the order of `Dimension`, so that headers come in one order.
    buckets: Vec<(Dimension, Bucket)>,
    charge_refused: bool,
    // The limits at the start, in the order of the buckets, and the changes still to come, the next one last.
    limits: Vec<u64>,
    changes: Vec<(Duration, f64)>,
}

impl Quotas {
    pub(crate) fn new(mut per_minute: Vec<(Dimension, u64)>, burst: Duration, charge_refused: bool) -> Self {
        per_minute.sort_by_key(|(dimension, _)| *dimension);
        let limits = per_minute.iter().map(|(_, limit)| *limit).collect();
        let bucket = |(dimension, limit)| (dimension, Bucket::new(limit, burst));
        let buckets = per_minute.into_iter().map(bucket).collect();
        Self { buckets, charge_refused, limits, changes: Vec::new() }
    }

    /// From `at` on, every limit is this many times what it was at the start.
    pub(crate) fn with_changes(mut self, mut changes: Vec<(Duration, f64)>) -> Self {
        changes.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        self.changes = changes;
        self
    }

    /// To be called before the buckets are looked at: makes the changes that are due, each at its own time.
    fn advance(&mut self, now: Duration) {
        while let Some((at, factor)) = self.changes.pop_if(|(at, _)| *at <= now) {
            for ((_, bucket), limit) in self.buckets.iter_mut().zip(&self.limits) {
                bucket.set_limit(at, (*limit as f64 * factor).round() as u64);
            }
        }
    }

    /// Takes the whole cost, or nothing and says what is short.
    pub(crate) fn admit(&mut self, now: Duration, cost: Cost) -> Result<(), OverQuota> {
        self.advance(now);
        let over = self
            .buckets
            .iter_mut()
            .filter_map(|(dimension, bucket)| {
                let requested = cost.of(*dimension);
                let wait = bucket.wait(now, requested).err()?;
                Some(OverQuota { dimension: *dimension, limit: bucket.limit(), requested, wait })
            })
            .max_by_key(|over| over.wait.unwrap_or(Duration::MAX));
        match over {
            None => {
                for (dimension, bucket) in &mut self.buckets {
                    bucket.take(cost.of(*dimension));
                }
                Ok(())
            }
            Some(over) => {
                if self.charge_refused {
                    let requests =
                        self.buckets.iter_mut().find(|(dimension, _)| *dimension == Dimension::Requests);
                    requests.into_iter().for_each(|(_, bucket)| bucket.take_up_to(1));
                }
                Err(over)
            }
        }
    }

    /// Corrects an admitted estimate by what was really used. The request itself stays counted.
    pub(crate) fn settle(&mut self, now: Duration, estimate: Cost, actual: Cost) {
        self.advance(now);
        for (dimension, bucket) in &mut self.buckets {
            bucket.settle(now, estimate.of(*dimension), actual.of(*dimension));
        }
    }

    pub(crate) fn standings(&mut self, now: Duration) -> Vec<Standing> {
        self.advance(now);
        let standing = |(dimension, bucket): &mut (Dimension, Bucket)| Standing {
            dimension: *dimension,
            limit: bucket.limit(),
            remaining: bucket.remaining(now),
            full_in: bucket.full_in(now),
        };
        self.buckets.iter_mut().map(standing).collect()
    }

    pub(crate) fn next_change(&self) -> Option<Duration> {
        self.changes.last().map(|(at, _)| *at)
    }

    /// Each dimension with its limit per minute and what its bucket holds, changes to come left out.
    pub(crate) fn limits(&self) -> impl Iterator<Item = (Dimension, u64, f64)> {
        self.buckets.iter().map(|(dimension, bucket)| (*dimension, bucket.limit(), bucket.capacity()))
    }
}
