//! An error that brings its verdict with it.

use std::{error, fmt};

use crate::Verdict;

/// An error with its verdict, for an operation that knows what to do about each of its failures.
///
/// `?` converts a plain error, with the verdict to retry. [`bail`] makes an error that ends the call. The policy uses the
/// verdicts by [`when(Judged::verdict)`](crate::Retry::when):
///
/// ```
/// use outbound_retry::{Judged, Retry, bail};
///
/// const POLICY: Retry = Retry::attempts(5);
///
/// # async fn fetch() -> Result<u16, &'static str> { Ok(403) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let reply = POLICY.when(Judged::verdict).call(async |_| match fetch().await? {
///     403 => Err(bail("forbidden")),
///     status => Ok(status),
/// });
/// assert_eq!(reply.await.map_err(Judged::into_error), Err("forbidden"));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged<E> {
    error: E,
    verdict: Verdict,
}

/// An error that ends the call: no attempt is made after it. See [`Judged`].
pub const fn bail<E>(error: E) -> Judged<E> {
    Judged::new(Verdict::Stop, error)
}

impl<E> Judged<E> {
    /// This error, and what to do about it.
    pub const fn new(verdict: Verdict, error: E) -> Self {
        Self { error, verdict }
    }

    /// What to do about it.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The error.
    pub const fn error(&self) -> &E {
        &self.error
    }

    /// The error, without its verdict.
    pub fn into_error(self) -> E {
        self.error
    }
}

impl<E> From<E> for Judged<E> {
    /// With the verdict to retry.
    fn from(error: E) -> Self {
        Self::new(Verdict::Retry, error)
    }
}

impl<E: fmt::Display> fmt::Display for Judged<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E: error::Error> error::Error for Judged<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.error.source()
    }
}
