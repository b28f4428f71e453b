//! The cost of a request in each dimension that a provider counts, and sums of costs.

use std::{
    fmt,
    ops::{AddAssign, Sub, SubAssign},
};

use super::dimension::{FIRST_NAMED, PLACES, Place, QuotaDimension};

const REQUESTS: usize = Place::Requests as usize;
const TOKENS: usize = Place::Tokens as usize;
const INPUT_TOKENS: usize = Place::InputTokens as usize;
const OUTPUT_TOKENS: usize = Place::OutputTokens as usize;

/// The cost of a request: the estimate when it is reserved, and the actual cost when it is settled.
///
/// It is plain data, and all zero by default.
///
/// ```
/// use outbound_limiter::{Cost, QuotaDimension};
///
/// const IMAGES: QuotaDimension = QuotaDimension::named(0, "images");
///
/// let cost = Cost::request().input_tokens(800).output_tokens(400).with(IMAGES, 3);
/// assert_eq!(cost.units(QuotaDimension::Requests), 1);
/// assert_eq!(cost.units(QuotaDimension::Tokens), 1_200);
/// assert_eq!(cost.units(IMAGES), 3);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// By the place of the dimension. The tokens are the sum of the input and output tokens.
    units: [u64; PLACES],
}

impl Cost {
    /// One request without anything else.
    pub const fn request() -> Self {
        Self { units: [0; PLACES] }.requests(1)
    }

    /// Sets the number of requests.
    pub const fn requests(mut self, requests: u64) -> Self {
        self.units[REQUESTS] = requests;
        self
    }

    /// Sets the tokens of input.
    pub const fn input_tokens(self, tokens: u64) -> Self {
        self.tokens(tokens, self.units[OUTPUT_TOKENS])
    }

    /// Sets the tokens of output.
    pub const fn output_tokens(self, tokens: u64) -> Self {
        self.tokens(self.units[INPUT_TOKENS], tokens)
    }

    const fn tokens(mut self, input: u64, output: u64) -> Self {
        self.units[TOKENS] = input.saturating_add(output);
        self.units[INPUT_TOKENS] = input;
        self.units[OUTPUT_TOKENS] = output;
        self
    }

    /// Sets the units of any dimension, also of named ones. Of two named dimensions with the same place the last one set
    /// counts; a quota with both cannot be built. [`QuotaDimension::Tokens`] sets both kinds of tokens: all of them count as
    /// input.
    pub const fn with(mut self, dimension: QuotaDimension, units: u64) -> Self {
        match dimension {
            QuotaDimension::Tokens => self.tokens(units, 0),
            QuotaDimension::InputTokens => self.input_tokens(units),
            QuotaDimension::OutputTokens => self.output_tokens(units),
            QuotaDimension::Requests | QuotaDimension::Named(_) => {
                self.units[dimension.place() as usize] = units;
                self
            }
        }
    }

    /// The units of a dimension, at most `u64::MAX`.
    pub const fn units(&self, dimension: QuotaDimension) -> u64 {
        self.units[dimension.place() as usize]
    }

    /// The units of the dimension at a place.
    #[inline]
    pub(super) const fn at(&self, place: Place) -> u64 {
        self.units[place as usize]
    }

    /// Whether it is more than another cost in at least one dimension.
    #[inline]
    pub(super) fn exceeds(&self, other: &Self) -> bool {
        let is_more = |place: usize| self.units[place] > other.units[place];
        // The sum of the tokens can only be more if one of the two kinds is.
        (is_more(REQUESTS) | is_more(INPUT_TOKENS) | is_more(OUTPUT_TOKENS))
            || (self.has_named() && (FIRST_NAMED..PLACES).any(is_more))
    }

    #[inline]
    pub(super) fn is_nothing(&self) -> bool {
        self.units[REQUESTS] == 0 && *self == Self::default()
    }

    /// The larger one in each dimension.
    pub(super) fn max(&self, other: &Self) -> Self {
        Self { units: std::array::from_fn(|place| self.units[place].max(other.units[place])) }
    }

    /// Whether it has a named dimension. Most costs have none, and take a shorter path.
    fn has_named(&self) -> bool {
        self.units[FIRST_NAMED..].iter().fold(0, |all, units| all | units) != 0
    }
}

impl fmt::Debug for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Cost");
        debug
            .field("requests", &self.units[REQUESTS])
            .field("input_tokens", &self.units[INPUT_TOKENS])
            .field("output_tokens", &self.units[OUTPUT_TOKENS]);
        if self.has_named() {
            debug.field("named", &&self.units[FIRST_NAMED..]);
        }
        debug.finish()
    }
}

/// A sum of costs modulo 2^64. It is for counts that only grow and of which only differences are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Count {
    units: [u64; PLACES],
}

impl Count {
    pub(super) fn units(&self, dimension: QuotaDimension) -> u64 {
        self.units[dimension.place() as usize]
    }
}

/// How much a count has grown between two readings. 0 if they are in the wrong order.
pub(super) fn growth(from: u64, to: u64) -> u64 {
    u64::try_from(to.wrapping_sub(from).cast_signed()).unwrap_or(0)
}

impl AddAssign<&Cost> for Count {
    fn add_assign(&mut self, cost: &Cost) {
        for (count, units) in self.units.iter_mut().zip(cost.units) {
            *count = count.wrapping_add(units);
        }
    }
}

impl SubAssign<&Cost> for Count {
    fn sub_assign(&mut self, cost: &Cost) {
        for (count, units) in self.units.iter_mut().zip(cost.units) {
            *count = count.wrapping_sub(units);
        }
    }
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { units: std::array::from_fn(|place| self.units[place].wrapping_sub(other.units[place])) }
    }
}

/// A sum of costs that cannot overflow: it has room for 2^64 of the largest costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Total {
    units: [u128; PLACES],
}

impl Total {
    pub(super) fn units(&self, dimension: QuotaDimension) -> u128 {
        self.units[dimension.place() as usize]
    }
}

impl AddAssign<&Self> for Total {
    fn add_assign(&mut self, other: &Self) {
        for (sum, units) in self.units.iter_mut().zip(other.units) {
            *sum = sum.saturating_add(units);
        }
    }
}

impl AddAssign<&Cost> for Total {
    fn add_assign(&mut self, cost: &Cost) {
        for (sum, units) in self.units.iter_mut().zip(cost.units) {
            *sum += u128::from(units);
        }
    }
}

impl SubAssign<&Cost> for Total {
    fn sub_assign(&mut self, cost: &Cost) {
        for (sum, units) in self.units.iter_mut().zip(cost.units) {
            *sum -= u128::from(units);
        }
    }
}
