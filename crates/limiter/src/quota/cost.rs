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
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// By dimension, in the order of [`Dimension`]. The tokens are the sum of the last two.
    units: [u64; 4],
}

impl Cost {
    /// One request without any tokens.
    pub const fn request() -> Self {
        Self { units: [1, 0, 0, 0] }
    }

    /// Sets the number of requests.
    pub const fn requests(mut self, requests: u64) -> Self {
        self.units[Dimension::Requests as usize] = requests;
        self
    }

    /// Sets the tokens of input.
    pub const fn input_tokens(self, tokens: u64) -> Self {
        self.tokens(tokens, self.units(Dimension::OutputTokens))
    }

    /// Sets the tokens of output.
    pub const fn output_tokens(self, tokens: u64) -> Self {
        self.tokens(self.units(Dimension::InputTokens), tokens)
    }

    const fn tokens(self, input: u64, output: u64) -> Self {
        Self { units: [self.units[0], input.saturating_add(output), input, output] }
    }

    /// Whether it is more than another, in some dimension.
    #[inline]
    pub(super) const fn exceeds(&self, other: &Self) -> bool {
        // The tokens are, only if one of their two kinds is.
        self.units[0] > other.units[0] || self.units[2] > other.units[2] || self.units[3] > other.units[3]
    }

    /// How much of a dimension this is, at most `u64::MAX`.
    #[inline]
    pub const fn units(&self, dimension: Dimension) -> u64 {
        self.units[dimension as usize]
    }
}

impl fmt::Debug for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [requests, _, input_tokens, output_tokens] = self.units;
        f.debug_struct("Cost")
            .field("requests", &requests)
            .field("input_tokens", &input_tokens)
            .field("output_tokens", &output_tokens)
            .finish()
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
    #[inline]
    fn add_assign(&mut self, cost: &Cost) {
        self.requests += u128::from(cost.units[0]);
        self.input_tokens += u128::from(cost.units[2]);
        self.output_tokens += u128::from(cost.units[3]);
    }
}

impl SubAssign<&Cost> for Total {
    #[inline]
    fn sub_assign(&mut self, cost: &Cost) {
        self.requests -= u128::from(cost.units[0]);
        self.input_tokens -= u128::from(cost.units[2]);
        self.output_tokens -= u128::from(cost.units[3]);
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
