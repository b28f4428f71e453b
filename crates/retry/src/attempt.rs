use std::time::Duration;

use tokio::time::Instant;

/// One attempt: handed to the operation, and to hooks once it has failed.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    pub(crate) number: u32,
    // The end of everything where it is known, and its length where it has not started.
    pub(crate) until: Option<Instant>,
    pub(crate) within: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
}

impl Attempt {
    /// 1 for the first attempt; attempts that were free count too.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Whether there was an attempt before this one.
    pub const fn is_retry(&self) -> bool {
        self.number > 1
    }

    /// By when an attempt that starts now should be done: the earlier of now plus
    /// [`attempt_timeout`](crate::Retry::attempt_timeout) and the end of everything, so that the limit of an attempt
    /// shrinks to the time that remains. `None` where neither is set, and then it reads no clock.
    ///
    /// It is an instant to put on the operation, with `outbound_timeout::timeout_at` or tokio's.
    pub fn deadline(&self) -> Option<Instant> {
        if self.within.is_none() && self.timeout.is_none() {
            return self.until;
        }
        let now = Instant::now();
        let ends = [self.until, self.from(now, self.within), self.from(now, self.timeout)];
        ends.into_iter().flatten().min()
    }

    #[expect(clippy::unused_self, reason = "reads as a sentence where it is used")]
    fn from(&self, now: Instant, length: Option<Duration>) -> Option<Instant> {
        length.and_then(|length| now.checked_add(length))
    }
}
