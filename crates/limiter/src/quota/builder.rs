//! The builder of a quota limiter.

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

/// Windows up to this length are buckets, and longer ones are logs: see [`QuotaBuilder::limit`].
const LONGEST_BUCKET: Duration = MINUTE;

/// How long a window may be.
pub(super) const WINDOWS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(366 * 24 * 60 * 60);

/// The settings of a [`QuotaLimiter`].
///
/// | setter | default |
/// |---|---|
/// | [`limit`](Self::limit), [`requests_per_minute`](Self::requests_per_minute) and the like | none: the limits of the server, if it names them |
/// | [`granted`](Self::granted) | no dimension is counted by grants |
/// | [`max_concurrent`](Self::max_concurrent) | unlimited |
/// | [`under`](Self::under) | no quota above |
/// | [`charging`](Self::charging) | unknown: what was not used comes back, unless the server shows otherwise |
/// | [`burst`](Self::burst) | the units of one second, at least 1; more once the server has shown that it allows more |
#[derive(Debug, Clone)]
#[must_use]
pub struct QuotaBuilder {
    limits: [Option<Limit>; MAX_LIMITS],
    /// More limits were set than there is room for.
    too_many: bool,
    max_concurrent: Option<usize>,
    burst: Option<Duration>,
    charging: Option<Charging>,
    parent: Option<QuotaLimiter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit {
    dimension: QuotaDimension,
    /// `None` if units come in by grants and not by time.
    window: Option<Duration>,
    limit: u64,
}

/// Why a quota cannot be built: a limit that admits nothing, or that cannot be kept.
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
    /// Two named dimensions have the same place.
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

    /// Sets a limit of so many units per window. It replaces a limit for the same dimension and window.
    ///
    /// A dimension may have several limits, such as per second, per minute and per day. All of them hold. There may be up to
    /// 16 limits in all.
    ///
    /// - Windows up to a minute are buckets: the [`burst`](Self::burst) may come at once, then what the rate brings.
    ///   [`observe`](QuotaLimiter::observe) corrects them by what the server says of the same window.
    /// - Longer windows hold strictly: all of the limit may come at once, and no stretch of time as long as the window admits
    ///   more. What was used counts for the length of the window, and up to a thousandth longer. The server does not correct
    ///   these: what it says of such a window is kept as a limit of its own.
    pub const fn limit(self, dimension: QuotaDimension, window: Duration, limit: u64) -> Self {
        self.set(Limit { dimension, window: Some(window), limit })
    }

    /// Counts a dimension by grants instead of time: it starts with nothing, and only [`QuotaLimiter::grant`] adds to it. It
    /// is meant for a quota that several processes share, where each is granted one chunk after the other. Limits of the same
    /// dimension hold too.
    ///
    /// - A request waits until its cost has been granted. Grants add up while it waits.
    /// - The instant of the next grant is not known. So a deadline ([`Reserve::before`](super::Reserve::before)) ends the wait
    ///   when it comes, and not before.
    /// - What a call has used beyond its estimate is owed, and the next grant pays for it. What it did not use comes back.
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

    /// Sets how much may come at once after a quiet time, in each dimension: the units that come in during `time`, at least 1
    /// and at most the limit. It applies to windows up to a minute, and holds whatever the server shows.
    ///
    /// Many providers count by the minute and enforce by the second or by ten seconds. A burst of a second or two is safe with
    /// all of them, and costs nothing over a run of more than a few seconds.
    pub const fn burst(mut self, time: Duration) -> Self {
        self.burst = Some(time);
        self
    }

    /// Sets how the server counts the tokens of a call. With [`Charging::Estimate`], tokens that were estimated and not used do
    /// not come back when a call ends. With the others they do. Where the readings of the server contradict this, the readings
    /// count. Requests and named dimensions always come back.
    pub const fn charging(mut self, charging: Charging) -> Self {
        self.charging = Some(charging);
        self
    }

    /// Puts the quota below another one: a request has to be admitted by both, and by all further ones above.
    ///
    /// So there can be one quota for an account, and one below it for each of its models:
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
    /// - While a request waits, it holds nothing at any level. A reservation or a charge acts on all levels.
    /// - Where several quotas wait for something of the upper one, they take turns with one request each. Requests to the
    ///   upper quota itself have a turn too. So a long queue at one quota does not starve another. A quota that waits for
    ///   something of its own, such as its gate, delays no other.
    /// - Closing a quota closes all quotas below it.
    pub fn under(mut self, parent: &QuotaLimiter) -> Self {
        self.parent = Some(parent.clone());
        self
    }

    /// Makes the limiter.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if a limit is 0, if a window is out of range, if there are too many limits, or if two named dimensions
    /// have the same place.
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
                meters.push(Meter::from_user(dimension, window, limit, burst, self.charging, now));
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
    /// Whether both are for the same dimension and window.
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
