/// When a provider takes the tokens of a call from the quota, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Charging {
    /// At admission, the prompt and the most that may be written; never corrected.
    Estimate,
    /// The same, and what was not written is given back at the end.
    Settle,
    /// What the call really takes.
    Actual,
}
