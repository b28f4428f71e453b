use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

use crate::{Hint, Wait};

/// The data of a policy; [`Retry`](crate::Retry) has a setter for each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    // At least one: an operation is always tried once.
    pub(crate) attempts: u32,
    pub(crate) enabled: bool,
    pub(crate) outermost: bool,
    pub(crate) within: Option<Duration>,
    pub(crate) until: Option<Instant>,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) wait: Wait,
    pub(crate) hint: Hint,
    pub(crate) give_up_beyond: Duration,
    pub(crate) seed: Option<NonZeroU64>,
}

impl Settings {
    pub(crate) const fn new(attempts: u32) -> Self {
        const WAIT: Wait =
            Wait::exponential(Duration::from_millis(500)).max(Duration::from_secs(30)).full_jitter();
        Self {
            attempts: if attempts == 0 { 1 } else { attempts },
            enabled: true,
            outermost: false,
            within: None,
            until: None,
            attempt_timeout: None,
            wait: WAIT,
            hint: Hint::Floor,
            give_up_beyond: Duration::MAX,
            seed: None,
        }
    }

    /// Whether an attempt has a deadline.
    #[inline(always)]
    pub(crate) const fn is_timed(&self) -> bool {
        self.within.is_some() || self.until.is_some() || self.attempt_timeout.is_some()
    }
}
