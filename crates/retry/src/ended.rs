//! An attempt that has ended, as hooks see it.

use std::{cell::Cell, fmt, num::NonZeroU64, time::Duration};

use tokio::time::Instant;

use crate::draw::{Draw, fresh_seed};

/// An attempt that has ended, with its result.
pub struct Ended<'a, T, E> {
    pub(crate) number: u32,
    pub(crate) result: &'a Result<T, E>,
    pub(crate) started: Option<Instant>,
    pub(crate) seed: &'a Cell<Option<NonZeroU64>>,
}

impl<'a, T, E> Ended<'a, T, E> {
    /// 1 for the first attempt; attempts that were free count too.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Its result.
    pub const fn result(&self) -> &'a Result<T, E> {
        self.result
    }

    /// Its error, where it failed.
    pub fn error(&self) -> Option<&'a E> {
        self.result.as_ref().err()
    }

    /// The time since the first attempt began, with all attempts and waits. Reads the clock. It is zero where nothing had
    /// to wait so far.
    pub fn elapsed(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| started.elapsed())
    }

    /// A uniform draw *U(low, high)*, both ends included, from the seed of the run
    /// ([`Retry::seed`](crate::Retry::seed)). It is meant for [`wait_with`](crate::Retry::wait_with). A second call for
    /// the same attempt draws the same share.
    pub fn uniform(&self, low: Duration, high: Duration) -> Duration {
        let seed = self.seed.get().unwrap_or_else(fresh_seed);
        self.seed.set(Some(seed));
        // These draws are independent of those of the policy's own wait.
        Draw::child(seed.get(), u64::MAX).at(self.number).between(low, high)
    }
}

impl<T, E> fmt::Debug for Ended<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended")
            .field("number", &self.number)
            .field("is_ok", &self.result.is_ok())
            .finish_non_exhaustive()
    }
}
