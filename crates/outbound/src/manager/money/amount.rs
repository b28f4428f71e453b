//! An amount of money.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign},
};

/// An amount of money in US dollars, to the billionth. Adding stops at the largest amount, about 18 billion dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount in dollars. A negative number counts as zero, and so does NaN.
    pub fn dollars(dollars: f64) -> Self {
        // A conversion from a float stops at the bounds, and makes zero of NaN.
        Self((dollars * 1e9).round() as u64)
    }

    /// The amount in dollars.
    pub fn as_dollars(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Takes this as the price of a million tokens, and returns the price of `tokens`, rounded up.
    pub(super) fn times(self, tokens: u64) -> Self {
        let nanos = (u128::from(self.0) * u128::from(tokens)).div_ceil(1_000_000);
        Self(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The difference, or zero if `other` is larger.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::add)
    }
}

/// `$1.25`, with more digits below one dollar: `$0.000123`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = if self.0 >= 1_000_000_000 || self.0 == 0 { 2 } else { 6 };
        write!(f, "${:.places$}", self.as_dollars())
    }
}
