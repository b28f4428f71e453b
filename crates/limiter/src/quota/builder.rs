//! The limits to start with.

use std::{error::Error, fmt, time::Duration};

use tokio::time::Instant;

use super::{
    cost::Dimension,
    desk::QuotaDesk,
    limiter::QuotaLimiter,
    meter::{Burst, Meter},
};

const MINUTE: Duration = Duration::from_secs(60);

/// The limits of a [`QuotaLimiter`].
///
/// | option | default |
/// |---|---|
/// | `requests_per_minute`, `tokens_per_minute`, `input_tokens_per_minute`, `output_tokens_per_minute` | none: what the server tells, else unlimited |
/// | `max_concurrent` | unlimited |
/// | `burst` | what comes in one second, at least 1; more once the server has shown that it allows it |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct QuotaBuilder {
    requests: Option<u64>,
    tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    max_concurrent: Option<usize>,
    burst: Option<Duration>,
}

/// A limit that nothing could ever satisfy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A limit per minute is 0.
    ZeroLimit(Dimension),
    /// `max_concurrent` is 0.
    ZeroConcurrency,
}

impl QuotaBuilder {
    pub(super) const fn new() -> Self {
        Self {
            requests: None,
            tokens: None,
            input_tokens: None,
            output_tokens: None,
            max_concurrent: None,
            burst: None,
        }
    }

    /// Sets the requests per minute.
    pub const fn requests_per_minute(mut self, limit: u64) -> Self {
        self.requests = Some(limit);
        self
    }

    /// Sets the tokens per minute, of input and output together.
    pub const fn tokens_per_minute(mut self, limit: u64) -> Self {
        self.tokens = Some(limit);
        self
    }

    /// Sets the tokens of input per minute.
    pub const fn input_tokens_per_minute(mut self, limit: u64) -> Self {
        self.input_tokens = Some(limit);
        self
    }

    /// Sets the tokens of output per minute.
    pub const fn output_tokens_per_minute(mut self, limit: u64) -> Self {
        self.output_tokens = Some(limit);
        self
    }

    /// Sets how many reservations and charges there may be at once.
    pub const fn max_concurrent(mut self, max: usize) -> Self {
        self.max_concurrent = Some(max);
        self
    }

    /// Sets how much may come at once after a quiet time, in each dimension: what comes in this time at the limit, and at
    /// least 1. It then holds whatever the server shows.
    ///
    /// Many providers count by the minute and enforce by the second or by ten. A burst of a second or two provokes none
    /// of them, and costs nothing over a run that is longer than a few seconds.
    pub const fn burst(mut self, time: Duration) -> Self {
        self.burst = Some(time);
        self
    }

    /// TODO
    pub const fn sliding(self) -> Self {
        self
    }

    /// Makes the limiter.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if a limit is 0.
    pub fn build(self) -> Result<QuotaLimiter, BuildError> {
        let now = Instant::now();
        let burst = self.burst.map_or(Burst::Learned, Burst::Fixed);
        let limits = [
            (Dimension::Requests, self.requests),
            (Dimension::Tokens, self.tokens),
            (Dimension::InputTokens, self.input_tokens),
            (Dimension::OutputTokens, self.output_tokens),
        ];
        let mut meters = Vec::new();
        for (dimension, limit) in limits {
            match limit {
                None => {}
                Some(0) => return Err(BuildError::ZeroLimit(dimension)),
                Some(limit) => meters.push(Meter::told(dimension, MINUTE, limit, burst, now)),
            }
        }
        if self.max_concurrent == Some(0) {
            return Err(BuildError::ZeroConcurrency);
        }
        Ok(QuotaLimiter::new(QuotaDesk::new(meters, burst, self.max_concurrent, now)))
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroLimit(dimension) => write!(f, "a limit of 0 {dimension} lets nothing through"),
            Self::ZeroConcurrency => f.write_str("a limit of 0 requests at once lets nothing through"),
        }
    }
}

impl Error for BuildError {}
