//! The gate that a refusal closes for everybody, and the way back to the full rate after it.

use std::time::Duration;

use tokio::time::Instant;

/// Where a refusal names no wait. In the simulation, bare refusals on a log, 98 % of the rate with this, 97 % with 2 s; half
/// of it changes little.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Where so many were served before two refusals in a row, and some before each, the waits were long enough, and the more were,
/// the shorter is the next one. Before the simulated provider of the command, which refuses eight in 1,000 for no reason, 20,000
/// requests at a limit of 2,000,000 a minute went at 0.06 of the pace of its 64 places while each wait was twice the last; at 0.35 now.
const MANY: u32 = 128;
const FEW: u32 = 8;
const MIN_BACKOFF: Duration = Duration::from_millis(50);

/// The gap between the first two after a gate is an eighth of the time it was closed, within these.
const MAX_GAP: Duration = Duration::from_millis(500);
const MIN_GAP: Duration = Duration::from_millis(1);

/// After a ramp refusal the rate doubles no faster than this.
const RAMP_DOUBLING: Duration = Duration::from_secs(10);

/// Stands for never, where an instant is needed.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Closed until an instant, then opened slowly: one request at once, the second a gap later, and each gap shorter than
/// the last by an eighth, until it is under a millisecond. So opening takes about as long as the gate was closed, at
/// most 4 s. After a ramp refusal the gaps shrink such that the rate doubles in ten seconds.
///
/// A server that lets two in a second through, and of which nothing is known, refuses 11 times where 64 wait after its first
/// refusal, and 71 times if all go at once.
#[derive(Debug)]
pub(super) struct Gate {
    /// Nobody is let through before this, if set: only while it is being opened, so while there is a `gap`.
    next: Option<Instant>,
    /// When it was to open, the last time it was closed.
    until: Option<Instant>,
    /// The next gap, while it is being opened.
    gap: Option<Duration>,
    ramp: bool,
    /// One is let through although it is closed.
    exempt: bool,
    /// When it was closed last.
    closed_at: Option<Instant>,
    /// The last wait that a refusal without a hint led to.
    backoff: Duration,
    /// How many were served that were sent after it had been closed last.
    served: u32,
    /// The same between the two refusals before, of those that named no wait.
    served_before: u32,
    /// When the first was let through after it was closed.
    opened_at: Option<Instant>,
    /// A refusal has closed it, and of what was sent since it had opened nothing was served, for all that is known.
    serves_nothing: bool,
}

impl Gate {
    pub(super) const fn new() -> Self {
        Self {
            next: None,
            until: None,
            gap: None,
            ramp: false,
            exempt: false,
            closed_at: None,
            backoff: Duration::ZERO,
            served: 0,
            served_before: 0,
            opened_at: None,
            serves_nothing: false,
        }
    }

    /// Closes it. It stays closed at least as long as it would have before.
    ///
    /// Where limits are known they set the pace after it. Where none is, it `opens_slowly`; and so it does after a refusal of
    /// what was sent since it last opened, if nothing was served in between: whatever wait was named or guessed was too short.
    pub(super) fn close(&mut self, now: Instant, until: Instant, opens_slowly: bool) {
        if until <= now || self.until.is_some_and(|earlier| until <= earlier) {
            return;
        }
        self.until = Some(until);
        self.next = Some(until);
        self.closed_at = Some(now);
        if opens_slowly {
            let gap = (until.duration_since(now) / 8).clamp(MIN_GAP, MAX_GAP);
            self.gap = self.gap.max(Some(gap));
        }
    }

    /// Something was served that was sent at this instant.
    pub(super) fn served(&mut self, sent_at: Instant) {
        self.served = self.served.saturating_add(u32::from(self.is_news(sent_at)));
        if self.serves_nothing && self.opened_at.is_none_or(|opened_at| sent_at >= opened_at) {
            self.serves_nothing = false;
        }
    }

    /// A refusal that is news. Whether nothing was served since the one before.
    pub(super) fn refused_again(&mut self) -> bool {
        std::mem::replace(&mut self.serves_nothing, true)
    }

    /// Opens it at once, and fully.
    pub(super) fn open(&mut self) {
        (self.next, self.until, self.gap, self.ramp, self.exempt) = (None, None, None, false, false);
    }

    /// Whether the refusal of a request says anything new: not if it was on its way already when the gate was closed.
    pub(super) fn is_news(&self, sent_at: Instant) -> bool {
        self.closed_at.is_none_or(|closed_at| sent_at > closed_at)
    }

    /// A refusal was heard that closes another gate than this.
    pub(super) fn heard_at(&mut self, now: Instant) {
        self.closed_at = Some(now);
    }

    /// Until when to close it after a refusal that did not say so: for a second, and twice as long each time. Quiet
    /// spells, each as long as the last wait, halve it again, and many that were served, twice in a row, make it a second or less.
    pub(super) fn back_off(&mut self, now: Instant) -> Instant {
        let served = std::mem::take(&mut self.served);
        let before = std::mem::replace(&mut self.served_before, served);
        // Many after one refusal, and none after the next: that is a window, which will be used up again.
        let both = served.saturating_add(before);
        if served.min(before) >= FEW && both >= MANY {
            self.backoff = FIRST_BACKOFF;
            return now + (FIRST_BACKOFF * MANY / both).max(MIN_BACKOFF);
        }
        let quiet = self.until.map_or(Duration::ZERO, |until| now.saturating_duration_since(until));
        let halvings = quiet.as_nanos() / self.backoff.max(FIRST_BACKOFF).as_nanos();
        let learned = self.backoff / 2_u32.saturating_pow(u32::try_from(halvings).unwrap_or(u32::MAX));
        self.backoff = (learned * 2).clamp(FIRST_BACKOFF, MAX_BACKOFF);
        now + self.backoff
    }

    /// The next wait of a refusal that does not name one is the first again.
    pub(super) fn forget_back_off(&mut self) {
        self.backoff = Duration::ZERO;
    }

    /// Lets the rate grow only slowly, from half of what it was: so many requests in the last ten seconds.
    pub(super) fn ramp(&mut self, requests: u64) {
        let requests = u32::try_from(requests).unwrap_or(u32::MAX).max(1);
        let gap = (2 * RAMP_DOUBLING / requests).clamp(MIN_GAP, MAX_GAP);
        self.gap = self.gap.max(Some(gap));
        self.ramp = true;
    }

    /// When the next may be let through, if that is later than `now`.
    pub(super) fn blocks(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|&next| next > now && !self.exempt)
    }

    /// Lets one through before it opens.
    pub(super) fn exempt_one(&mut self) {
        self.exempt = true;
    }

    /// Until when nobody at all is let through.
    pub(super) fn closed_until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|&until| until > now)
    }

    /// Whether it is closed, as far as anybody has seen, or those let through are spread out.
    pub(super) fn is_opening(&self) -> bool {
        self.next.is_some()
    }

    /// One is let through, beside so many that are in flight.
    #[inline]
    pub(super) fn pass(&mut self, now: Instant, in_flight: usize) {
        if std::mem::take(&mut self.exempt) && self.next.is_some_and(|next| next > now) {
            return;
        }
        if self.until.is_some_and(|until| self.opened_at.is_none_or(|opened_at| opened_at < until)) {
            self.opened_at = Some(now);
            // Refusals come at once, and answers take their time: what is still in flight was not refused.
            self.serves_nothing &= in_flight == 0;
        }
        match self.gap {
            Some(gap) => self.open_further(now, gap),
            None => self.next = None,
        }
    }

    fn open_further(&mut self, now: Instant, gap: Duration) {
        self.next = Some(now + gap);
        let less = if self.ramp {
            // What makes an exponential with this doubling time: gap * (gap / (doubling / ln 2)).
            gap.mul_f64(gap.as_secs_f64() * std::f64::consts::LN_2 / RAMP_DOUBLING.as_secs_f64())
        } else {
            gap / 8
        };
        let gap = gap.saturating_sub(less.max(Duration::from_nanos(1)));
        self.gap = Some(gap).filter(|&gap| gap >= MIN_GAP);
        if self.gap.is_none() {
            (self.next, self.ramp) = (None, false);
        }
    }
}

/// The instant after a wait, however long.
pub(super) fn after(now: Instant, wait: Duration) -> Instant {
    now + wait.min(FAR)
}
