//! The limits to start with.

use std::{error::Error, fmt, ops::RangeInclusive, time::Duration};

use tokio::time::Instant;

use super::{
    charging::Charging,
    dimension::QuotaDimension,
    limiter::QuotaLimiter,
    limits::Limits,
    meter::{Burst, Meter},
    policy::QuotaPolicy,
    strict::Strict,
};
use crate::log::Log;

pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// How many limits one limiter can have.
pub(super) const MAX_LIMITS: usize = 16;

/// Windows up to this long are buckets, longer ones are logs: see [`QuotaBuilder::limit`].
const LONGEST_BUCKET: Duration = MINUTE;

/// How long a window may be.
pub(super) const WINDOWS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(366 * 24 * 60 * 60);

/// The limits of a [`QuotaLimiter`]; of each, one second's worth may come at once, and at least 1, unless
/// [`burst`](Self::burst) says otherwise or the server shows that it allows more.
///
/// | option | default |
/// |---|---|
/// | `limit` and the forms of it, `requests_per_minute` and the like | none: what the server tells, else unlimited |
/// | `granted` | nothing is counted by grants |
/// | `max_concurrent` | unlimited |
/// | `under` | no other quota |
/// | `charging` | unknown: what was not used comes back, unless the server shows otherwise |
/// | `burst` | what comes in one second, at least 1; more once the server has shown that it allows it |
#[derive(Debug, Clone)]
#[must_use]
pub struct QuotaBuilder {
    limits: [Option<Limit>; MAX_LIMITS],
    /// There were more than fit.
    too_many: bool,
    max_concurrent: Option<usize>,
    burst: Option<Duration>,
    charging: Option<Charging>,
    parent: Option<QuotaLimiter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit {
    dimension: QuotaDimension,
    /// `None`: nothing comes in by time, only by grants.
    window: Option<Duration>,
    limit: u64,
}

/// A limit that nothing could ever satisfy, or that cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A limit is 0.
    ZeroLimit(QuotaDimension),
    /// `max_concurrent` is 0.
    ZeroConcurrency,
    /// The window of a limit is shorter than a millisecond or longer than 366 days.
    Window(Duration),
    /// There are more than 16 limits.
    TooManyLimits,
    /// Two named dimensions share a place.
    SamePlace(QuotaDimension, QuotaDimension),
}

impl QuotaBuilder {
    pub(super) const fn new() -> Self {
        Self {
            limits: [None; MAX_LIMITS],
            too_many: false,
            max_concurrent: None,
            burst: None,
            charging: None,
            parent: None,
        }
    }

    /// Sets a limit of so many units per window, which takes the place of one for the same dimension and window.
    ///
    /// A dimension may have several, such as per second, per minute and per day, up to 16 in all. All of them hold.
    ///
    /// - Windows up to a minute are buckets: the [`burst`](Self::burst) may come at once, then what the rate brings.
    ///   [`observe`](QuotaLimiter::observe) keeps them in step with what the server says of the same window.
    /// - Longer ones hold strictly: all of the limit may come at once, and in no stretch of time as long as the window is
    ///   more let through; what was used up counts for as long, and up to a thousandth longer. They are ours alone: what
    ///   the server says of such a window is kept beside them.
    pub const fn limit(self, dimension: QuotaDimension, window: Duration, limit: u64) -> Self {
        self.set(Limit { dimension, window: Some(window), limit })
    }

    /// Counts a dimension by what is granted, in the place of time: it starts with nothing, [`QuotaLimiter::grant`] adds to
    /// it, and nothing else does. For a quota that several processes share, of which each is granted one chunk after the
    /// other. Limits of the same dimension hold beside it.
    ///
    /// - A request waits until as much as it costs has been granted; what was granted adds up meanwhile.
    /// - When that will be is not known, so a deadline ([`Reserve::before`](super::Reserve::before)) ends the wait when it
    ///   comes, and not before.
    /// - What a call did use beyond its estimate is owed, and the next grant pays for it. What it did not use comes back.
    pub const fn granted(self, dimension: QuotaDimension) -> Self {
        self.set(Limit { dimension, window: None, limit: 0 })
    }

    const fn set(mut self, limit: Limit) -> Self {
        let mut slot = 0;
        while slot < MAX_LIMITS {
            let is_free = match &self.limits[slot] {
                None => true,
                Some(set) => set.is_like(&limit),
            };
            if is_free {
                self.limits[slot] = Some(limit);
                return self;
            }
            slot += 1;
        }
        self.too_many = true;
        self
    }

    /// Sets the requests per minute.
    pub const fn requests_per_minute(self, limit: u64) -> Self {
        self.limit(QuotaDimension::Requests, MINUTE, limit)
    }

    /// Sets the tokens per minute, of input and output together.
    pub const fn tokens_per_minute(self, limit: u64) -> Self {
        self.limit(QuotaDimension::Tokens, MINUTE, limit)
    }

    /// Sets the tokens of input per minute.
    pub const fn input_tokens_per_minute(self, limit: u64) -> Self {
        self.limit(QuotaDimension::InputTokens, MINUTE, limit)
    }

    /// Sets the tokens of output per minute.
    pub const fn output_tokens_per_minute(self, limit: u64) -> Self {
        self.limit(QuotaDimension::OutputTokens, MINUTE, limit)
    }

    /// Sets how many reservations and charges there may be at once.
    pub const fn max_concurrent(mut self, max: usize) -> Self {
        self.max_concurrent = Some(max);
        self
    }

    /// Sets how much may come at once after a quiet time, in each dimension: what comes in this time at the limit of a
    /// window up to a minute, at least 1 and at most the limit. It then holds whatever the server shows.
    ///
    /// Many providers count by the minute and enforce by the second or by ten. A burst of a second or two provokes none
    /// of them, and costs nothing over a run that is longer than a few seconds.
    pub const fn burst(mut self, time: Duration) -> Self {
        self.burst = Some(time);
        self
    }

    /// Says how the server takes tokens. With [`Charging::Estimate`] what was estimated and not used does not come back
    /// when a call ends, with the others it does. Where the server says what remains and that contradicts, the server is
    /// believed. Requests and dimensions of your own come back always.
    pub const fn charging(mut self, charging: Charging) -> Self {
        self.charging = Some(charging);
        self
    }

    /// Puts it below another quota: what is let through has to be allowed by both, and by all above.
    ///
    /// So one quota can hold for an account, and one below it for each of its models:
    ///
    /// ```
    /// # use outbound_limiter::{BuildError, Cost, QuotaLimiter};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let account = QuotaLimiter::builder().requests_per_minute(500).max_concurrent(2).build()?;
    /// let small = QuotaLimiter::builder().under(&account).tokens_per_minute(90_000).build()?;
    /// let large = QuotaLimiter::builder().under(&account).tokens_per_minute(20_000).build()?;
    ///
    /// let one = small.reserve(Cost::request().input_tokens(800)).await?;
    /// let other = large.reserve(Cost::request().input_tokens(800)).await?;
    /// assert_eq!(account.snapshot().in_flight, 2);
    /// # drop((one, other));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// - Nothing is held at any level while a request waits, and what a reservation or a charge does, it does at all.
    /// - Where something of the upper quota is waited for, each quota below has its turn with one request, first come
    ///   first served, and so have those who ask the upper one itself. So a long line at one does not starve another.
    ///   One that waits for something of its own, such as its gate, has no turn and holds up nobody.
    /// - Closing a quota closes all below it.
    pub fn under(mut self, parent: &QuotaLimiter) -> Self {
        self.parent = Some(parent.clone());
        self
    }

    /// Makes the limiter.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if a limit is 0 or its window out of range, if there are too many, or if two names share a place.
    pub fn build(self) -> Result<QuotaLimiter, BuildError> {
        let now = Instant::now();
        let burst = self.burst.map_or(Burst::Learned, Burst::Fixed);
        let (mut meters, mut strict) = (Vec::new(), Vec::new());
        for Limit { dimension, window, limit } in self.limits.into_iter().flatten() {
            let Some(window) = window else {
                strict.push(Strict::granted(dimension, self.charging));
                continue;
            };
            if limit == 0 {
                return Err(BuildError::ZeroLimit(dimension));
            }
            if !WINDOWS.contains(&window) {
                return Err(BuildError::Window(window));
            }
            if window <= LONGEST_BUCKET {
                meters.push(Meter::told(dimension, window, limit, burst, self.charging, now));
            } else {
                strict.push(Strict::window(dimension, Log::new(limit, window, now), self.charging));
            }
        }
        if self.too_many {
            return Err(BuildError::TooManyLimits);
        }
        let limits = Limits::new(meters, strict, now);
        if let Some((one, other)) = limits.clash() {
            return Err(BuildError::SamePlace(one, other));
        }
        if self.max_concurrent == Some(0) {
            return Err(BuildError::ZeroConcurrency);
        }
        Ok(QuotaLimiter::new(
            QuotaPolicy::new(limits, burst, self.charging, self.max_concurrent, now),
            self.parent,
        ))
    }
}

impl Limit {
    /// Whether it is for the same dimension and window.
    const fn is_like(&self, other: &Self) -> bool {
        let same_window = match (self.window, other.window) {
            (Some(one), Some(other)) => one.as_nanos() == other.as_nanos(),
            (None, None) => true,
            _ => false,
        };
        same_window && self.dimension.is(other.dimension)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroLimit(dimension) => write!(f, "a limit of 0 {dimension} lets nothing through"),
            Self::Window(window) => {
                write!(f, "a window of {window:?} is not between a millisecond and 366 days")
            }
            Self::TooManyLimits => write!(f, "there are more than {MAX_LIMITS} limits"),
            Self::SamePlace(one, other) => write!(f, "{one} and {other} are counted at the same place"),
            Self::ZeroConcurrency => f.write_str("a limit of 0 requests at once lets nothing through"),
        }
    }
}

impl Error for BuildError {}
