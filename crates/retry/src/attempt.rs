use tokio::time::Instant;

/// One attempt, as the operation is given it.
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

    /// By when this attempt should be done: the earlier of its own end
    /// ([`attempt_timeout`](crate::Retry::attempt_timeout)) and the end of everything ([`within`](crate::Retry::within),
    /// [`until`](crate::Retry::until)). So the limit of an attempt shrinks to the time that remains. `None` where none of
    /// the three is set.
    ///
    /// It is fixed when the attempt begins, however late it is asked for.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}
