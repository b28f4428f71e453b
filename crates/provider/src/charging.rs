//! How a provider takes the tokens of a call from the quota.

/// When a provider takes the tokens of a call from the quota, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Charging {
    /// At admission it takes the prompt and the most that may be written. It never corrects that.
    Estimate,
    /// It takes the same at admission, and gives back at the end what was not written.
    Settle,
    /// It takes what the call really used.
    Actual,
}
