//! The data of a policy.

use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

use crate::{Hint, Wait, nanos::Nanos};

/// The data of a policy; [`Retry`](crate::Retry) has a setter for each.
///
/// It is copied into each call. Up to 128 bytes the compiler copies it without a call to `memcpy`, so it is kept small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    // At least one: an operation is always called once.
    pub(crate) attempts: u32,
    // Which of the settings differ from "nothing to check". Each setter updates it.
    flags: u8,
    within: Nanos,
    until: Option<Instant>,
    pub(crate) give_up_beyond: Nanos,
    pub(crate) hint: Hint,
    wait: Wait,
    pub(crate) seed: Option<NonZeroU64>,
}

const _: () = assert!(size_of::<Settings>() <= 128);

const DISABLED: u8 = 1;
const OUTERMOST: u8 = 2;
const WAITS: u8 = 4;
const WITHIN: u8 = 8;
const UNTIL: u8 = 16;

impl Settings {
    pub(crate) const fn new(attempts: u32) -> Self {
        const WAIT: Wait =
            Wait::exponential(Duration::from_millis(500)).max(Duration::from_secs(30)).full_jitter();
        Self {
            attempts: if attempts == 0 { 1 } else { attempts },
            flags: WAITS,
            within: Nanos::MAX,
            until: None,
            give_up_beyond: Nanos::MAX,
            hint: Hint::Floor,
            wait: WAIT,
            seed: None,
        }
    }

    const fn flag(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    pub(crate) const fn set_enabled(&mut self, enabled: bool) {
        self.flag(DISABLED, !enabled);
    }

    pub(crate) const fn set_outermost(&mut self) {
        self.flag(OUTERMOST, true);
    }

    pub(crate) const fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
        self.flag(WAITS, !wait.is_none());
    }

    pub(crate) const fn set_within(&mut self, total: Duration) {
        self.within = Nanos::new(total);
        self.flag(WITHIN, true);
    }

    /// Of two instants the earlier counts.
    pub(crate) fn set_until(&mut self, until: Option<Instant>) {
        self.until = [self.until, until].into_iter().flatten().min();
        self.flag(UNTIL, self.until.is_some());
    }

    pub(crate) const fn wait(&self) -> &Wait {
        &self.wait
    }

    #[inline(always)]
    pub(crate) const fn is_enabled(&self) -> bool {
        self.flags & DISABLED == 0
    }

    #[inline(always)]
    pub(crate) const fn is_outermost(&self) -> bool {
        self.flags & OUTERMOST != 0
    }

    #[inline(always)]
    pub(crate) const fn waits(&self) -> bool {
        self.flags & WAITS != 0
    }

    /// Whether only the number of attempts has to be checked: there are no waits and no limit in time.
    #[inline(always)]
    pub(crate) const fn is_plain(&self) -> bool {
        self.flags == 0
    }

    /// Whether there is a limit in time for everything.
    #[inline(always)]
    pub(crate) const fn is_bounded(&self) -> bool {
        self.flags & (WITHIN | UNTIL) != 0
    }

    /// The deadline of a run that starts at this instant.
    pub(crate) fn deadline(&self, started: Instant) -> Option<Instant> {
        let within = (self.flags & WITHIN != 0).then(|| started.checked_add(self.within.get())).flatten();
        [self.until, within].into_iter().flatten().min()
    }
}
