//! An observation: what a reply said about limits.

use std::time::Duration;

use tokio::time::Instant;

use super::dimension::QuotaDimension;

/// How many readings one reply can bring. More are ignored.
pub(super) const MAX_READINGS: usize = 8;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What one reply said about the limits, for [`QuotaLimiter::observe`](super::QuotaLimiter::observe).
///
/// It is plain data. The code that reads the headers and the error class fills it in. Without a refusal it stands for a
/// reply that was served.
///
/// ```
/// use std::time::Duration;
/// use outbound_limiter::{QuotaDimension, Reading, Observation};
/// use tokio::time::Instant;
///
/// let sent_at = Instant::now();
/// let reading = Reading::per_minute().limit(500).remaining(499).reset(Duration::from_millis(120));
/// let reply = Observation::new(sent_at).reading(QuotaDimension::Requests, reading);
/// let refusal = Observation::new(sent_at).refused(Some(Duration::from_secs(20)));
/// # let _ = (reply, refusal);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    pub(super) sent_at: Instant,
    pub(super) readings: [Option<(QuotaDimension, Reading)>; MAX_READINGS],
    pub(super) refusal: Option<Refusal>,
    pub(super) scope: Scope,
}

/// What part of a quota an observation concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    Limits,
    Gate,
}

/// What a reply said about one dimension. By default nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub(super) window: Duration,
    pub(super) limit: Option<u64>,
    pub(super) remaining: Option<u64>,
    pub(super) reset: Option<Duration>,
    /// The reset is the end of a window. Before that nothing comes in.
    pub(super) ends_window: bool,
    /// The server did not name the window.
    pub(super) guessed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) wait: Option<Duration>,
    pub(super) ramp: bool,
    pub(super) parallel: bool,
}

impl Observation {
    /// The reply to a request that was sent at this instant. It says nothing about limits.
    pub const fn new(sent_at: Instant) -> Self {
        Self { sent_at, readings: [None; MAX_READINGS], refusal: None, scope: Scope::All }
    }

    /// Only for the limits of a quota, where another quota has the gate: the readings correct its levels, and a refusal closes
    /// no gate.
    pub const fn only_limits(mut self) -> Self {
        self.scope = Scope::Limits;
        self
    }

    /// Only for the gate of a quota, where another quota has the limits: a refusal closes the gate, and nothing is learned
    /// about limits.
    pub const fn only_gate(mut self) -> Self {
        self.scope = Scope::Gate;
        self
    }

    /// Adds a reading of a dimension. Up to 8 are kept.
    pub fn reading(mut self, dimension: QuotaDimension, reading: Reading) -> Self {
        if let Some(slot) = self.readings.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some((dimension, reading));
        }
        self
    }

    /// The request was refused because a limit was reached. `wait` is how long the reply asks to wait, if it says so.
    pub const fn refused(mut self, wait: Option<Duration>) -> Self {
        self.refusal = Some(Refusal { wait, ramp: false, parallel: false });
        self
    }

    /// The request was refused because the rate has grown too fast. It is as [`refused`](Self::refused), and from then on the
    /// rate grows only slowly.
    pub const fn ramp(mut self, wait: Option<Duration>) -> Self {
        self.refusal = Some(Refusal { wait, ramp: true, parallel: false });
        self
    }

    /// The refusal said that too many requests were in flight. From now on fewer are admitted. One more is tried after each
    /// round of successes, and later after each trial that failed. The gate stays open while another request is in flight,
    /// because its end makes room. Call [`observe`](super::QuotaLimiter::observe) with it while the charge of the refused
    /// request is still held.
    pub const fn parallel(mut self) -> Self {
        let refusal = match self.refusal {
            Some(refusal) => refusal,
            None => Refusal { wait: None, ramp: false, parallel: true },
        };
        self.refusal = Some(Refusal { parallel: true, ..refusal });
        self
    }
}

impl Reading {
    /// A reading of a limit per minute.
    pub const fn per_minute() -> Self {
        Self::per(MINUTE)
    }

    /// A reading of a limit per day.
    pub const fn per_day() -> Self {
        Self::per(DAY)
    }

    /// A reading of a limit per window of any other length.
    pub const fn per(window: Duration) -> Self {
        Self { window, limit: None, remaining: None, reset: None, ends_window: false, guessed: false }
    }

    /// Sets the limit, in units per window. 0 means that the reply names none.
    pub const fn limit(mut self, limit: u64) -> Self {
        self.limit = if limit == 0 { None } else { Some(limit) };
        self
    }

    /// Sets how much remains.
    pub const fn remaining(mut self, remaining: u64) -> Self {
        self.remaining = Some(remaining);
        self
    }

    /// Sets how long it takes from now until all of the limit is there again, where units come in all the time. The other kind
    /// of reset is [`resets_window`](Self::resets_window).
    pub const fn fills_by(mut self, reset: Duration) -> Self {
        (self.reset, self.ends_window) = (Some(reset), false);
        self
    }

    /// Sets how long it takes from now until the window ends, where all of the limit is then there again at once.
    pub const fn resets_window(mut self, reset: Duration) -> Self {
        (self.reset, self.ends_window) = (Some(reset), true);
        self
    }

    /// As [`fills_by`](Self::fills_by). Use it where the kind of the reset is not known.
    pub const fn reset(self, reset: Duration) -> Self {
        self.fills_by(reset)
    }

    /// Says that the server did not name the window. The given window is a guess, which the resets correct.
    pub const fn window_guessed(mut self) -> Self {
        self.guessed = true;
        self
    }
}
