//! An attempt: its number and its deadline.

use tokio::time::Instant;

/// One attempt, as the operation sees it.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    pub(crate) number: u32,
    pub(crate) deadline: Option<Instant>,
}

impl Attempt {
    /// 1 for the first attempt; attempts that were free count too.
    #[inline]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Whether there was an attempt before this one.
    pub const fn is_retry(&self) -> bool {
        self.number > 1
    }

    /// The instant by which this attempt should be done. It is the earlier of the attempt's own limit
    /// ([`attempt_timeout`](crate::Retry::attempt_timeout)) and the limit of everything
    /// ([`within`](crate::Retry::within), [`until`](crate::Retry::until)). So an attempt never gets more than the time
    /// that remains. `None` where none of the three is set.
    ///
    /// It is fixed when the attempt begins. A later call returns the same instant.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}
