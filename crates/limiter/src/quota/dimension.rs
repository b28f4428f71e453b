//! The dimensions of a quota: what is counted.

use std::fmt;

/// A dimension of a quota: what is counted.
///
/// A provider may count anything. What is not among the first four gets a name.
///
/// ```
/// use std::time::Duration;
/// use outbound_limiter::{Cost, QuotaDimension, QuotaLimiter};
///
/// const IMAGES: QuotaDimension = QuotaDimension::named(0, "images");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let quota = QuotaLimiter::builder()
///     .requests_per_minute(500)
///     .limit(IMAGES, Duration::from_secs(60), 50)
///     .build()?;
/// let charge = quota.reserve(Cost::request().with(IMAGES, 3)).await?.sent();
/// charge.settle(Cost::request().with(IMAGES, 2));
/// let error = quota.reserve(Cost::request().with(IMAGES, 51)).await.unwrap_err();
/// assert_eq!(error.to_string(), "the request is for 51 images, and the limit is 50");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum QuotaDimension {
    /// Requests, whatever their size.
    Requests,
    /// Tokens of input and output together.
    Tokens,
    /// Tokens of input.
    InputTokens,
    /// Tokens of output.
    OutputTokens,
    /// Anything else: see [`QuotaDimension::named`].
    Named(Named),
}

/// The name of a [`QuotaDimension`], and its place in a [`Cost`](super::Cost).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Named {
    place: usize,
    name: &'static str,
}

/// The place of a dimension in a [`Cost`](super::Cost). It is a type of its own, so that the compiler knows that it is in
/// range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Place {
    Requests,
    Tokens,
    InputTokens,
    OutputTokens,
    Named0,
    Named1,
    Named2,
    Named3,
}

pub(super) const FIRST_NAMED: usize = Place::Named0 as usize;
pub(super) const PLACES: usize = FIRST_NAMED + QuotaDimension::MAX_NAMED;

impl QuotaDimension {
    /// How many dimensions with a name one limiter can count.
    pub const MAX_NAMED: usize = 4;

    /// A dimension of your own. Its name is for display, and it is counted at its place: 0, 1, 2 or 3.
    ///
    /// So no name has to be looked up. In one limiter each named dimension needs a place of its own. A builder rejects two
    /// with the same place. What a server says about a dimension whose place is taken is ignored.
    ///
    /// # Panics
    ///
    /// If the place is not below [`MAX_NAMED`](Self::MAX_NAMED). In a `const` this is a compile error.
    pub const fn named(place: usize, name: &'static str) -> Self {
        assert!(place < Self::MAX_NAMED, "a named dimension has a place below 4");
        Self::Named(Named { place, name })
    }

    /// The place where it is counted in a cost.
    pub(super) const fn place(self) -> Place {
        match self {
            Self::Requests => Place::Requests,
            Self::Tokens => Place::Tokens,
            Self::InputTokens => Place::InputTokens,
            Self::OutputTokens => Place::OutputTokens,
            Self::Named(named) => match named.place {
                0 => Place::Named0,
                1 => Place::Named1,
                2 => Place::Named2,
                _ => Place::Named3,
            },
        }
    }

    pub(super) const fn is_tokens(self) -> bool {
        matches!(self, Self::Tokens | Self::InputTokens | Self::OutputTokens)
    }

    /// Whether it is another dimension with the same place.
    pub(super) fn clashes_with(self, other: Self) -> bool {
        self.place() == other.place() && !self.is(other)
    }

    /// As `==`, but usable in a `const`.
    pub(super) const fn is(self, other: Self) -> bool {
        match (self, other) {
            (Self::Named(one), Self::Named(other)) => {
                one.place == other.place && are_same(one.name.as_bytes(), other.name.as_bytes())
            }
            _ => self.place() as u8 == other.place() as u8,
        }
    }
}

impl Named {
    /// The name.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

const fn are_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

impl fmt::Display for QuotaDimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input tokens",
            Self::OutputTokens => "output tokens",
            Self::Named(named) => named.name,
        })
    }
}
