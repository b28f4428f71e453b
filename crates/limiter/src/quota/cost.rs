//! What a request costs, in each dimension that a provider counts.

use std::{
    fmt,
    ops::{AddAssign, Sub, SubAssign},
};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Dimension {
    /// Requests, whatever their size.
    Requests,
    /// Tokens of input and output together.
    Tokens,
    /// Tokens of input.
    InputTokens,
    /// Tokens of output.
    OutputTokens,
}

/// What a request costs: an estimate when it is reserved, the truth when it is settled.
///
/// Plain data, all zero by default.
///
/// ```
/// use outbound_limiter::{Cost, Dimension};
///
/// let cost = Cost::request().input_tokens(800).output_tokens(400);
/// assert_eq!(cost.units(Dimension::Requests), 1);
/// assert_eq!(cost.units(Dimension::Tokens), 1_200);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    requests: u64,
    input_tokens: u64,
    output_tokens: u64,
}

impl Cost {
    /// One request without any tokens.
    pub const fn request() -> Self {
        Self { requests: 1, input_tokens: 0, output_tokens: 0 }
    }

    /// Sets the number of requests.
    pub const fn requests(mut self, requests: u64) -> Self {
        self.requests = requests;
        self
    }

    /// Sets the tokens of input.
    pub const fn input_tokens(mut self, tokens: u64) -> Self {
        self.input_tokens = tokens;
        self
    }

    /// Sets the tokens of output.
    pub const fn output_tokens(mut self, tokens: u64) -> Self {
        self.output_tokens = tokens;
        self
    }

    /// How much of a dimension this is, at most `u64::MAX`.
    pub const fn units(&self, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::Requests => self.requests,
            Dimension::Tokens => self.input_tokens.saturating_add(self.output_tokens),
            Dimension::InputTokens => self.input_tokens,
            Dimension::OutputTokens => self.output_tokens,
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input tokens",
            Self::OutputTokens => "output tokens",
        })
    }
}

/// A sum of costs. It is large enough for 2^64 of the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Total {
    requests: u128,
    input_tokens: u128,
    output_tokens: u128,
}

impl Total {
    pub(super) fn units(&self, dimension: Dimension) -> u128 {
        match dimension {
            Dimension::Requests => self.requests,
            Dimension::Tokens => self.input_tokens.saturating_add(self.output_tokens),
            Dimension::InputTokens => self.input_tokens,
            Dimension::OutputTokens => self.output_tokens,
        }
    }
}

impl AddAssign<&Cost> for Total {
    fn add_assign(&mut self, cost: &Cost) {
        self.requests += u128::from(cost.requests);
        self.input_tokens += u128::from(cost.input_tokens);
        self.output_tokens += u128::from(cost.output_tokens);
    }
}

impl SubAssign<&Cost> for Total {
    fn sub_assign(&mut self, cost: &Cost) {
        self.requests -= u128::from(cost.requests);
        self.input_tokens -= u128::from(cost.input_tokens);
        self.output_tokens -= u128::from(cost.output_tokens);
    }
}

impl Sub for Total {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            requests: self.requests - other.requests,
            input_tokens: self.input_tokens - other.input_tokens,
            output_tokens: self.output_tokens - other.output_tokens,
        }
    }
}
