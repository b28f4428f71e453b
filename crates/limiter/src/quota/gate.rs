//! The gate: a refusal closes it for all requests. After that it opens, slowly or at once.

use std::time::Duration;

use tokio::time::Instant;

/// The first wait after a refusal that names none. In the limiter's simulation, twice as much is a little worse and half as
/// much changes little.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// If this many requests were served before two refusals in a row, and at least [`FEW`] before each, the waits were long
/// enough. Then the next wait is the shorter the more were served. It is for a provider that refuses a few requests in a
/// thousand for no reason: without this rule the wait would double each time.
const MANY: u32 = 128;
const FEW: u32 = 8;
const MIN_BACKOFF: Duration = Duration::from_millis(50);

/// The gap between the first two requests after the gate opens is an eighth of the time it was closed, within these bounds.
const MAX_GAP: Duration = Duration::from_millis(500);
const MIN_GAP: Duration = Duration::from_millis(1);

/// After a refusal because of a sudden increase (a ramp refusal), the rate does not double faster than this.
const RAMP_DOUBLING: Duration = Duration::from_secs(10);

/// Stands for "never" where an instant is needed.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The gate is closed until an instant. It can then open slowly: one request goes at once, the second after a gap, and each
/// gap is an eighth shorter than the one before, until it is under a millisecond. So opening takes about as long as the gate
/// was closed, and at most 4 s. After a ramp refusal the gaps shrink so that the rate doubles in ten seconds.
///
/// Without slow opening, all waiting requests would go at once, and a server of which nothing is known would refuse most of
/// them.
#[derive(Debug)]
pub(super) struct Gate {
    /// No request is admitted before this. `None` if the gate is fully open.
    next: Option<Instant>,
    /// The instant that it was last closed until.
    until: Option<Instant>,
    /// The next gap, while it opens slowly.
    gap: Option<Duration>,
    ramp: bool,
    /// One request may be admitted although the gate is closed.
    exempt: bool,
    /// When it was last closed.
    closed_at: Option<Instant>,
    /// The last wait after a refusal that named none.
    backoff: Duration,
    /// How many requests were served that were sent after it was last closed.
    served: u32,
    /// The same count between the two refusals before that, of those that named no wait.
    served_before: u32,
    /// When the first request was admitted after it was last closed.
    opened_at: Option<Instant>,
    /// A refusal has closed it, and as far as is known nothing was served that was sent since it had opened.
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

    /// Closes it until an instant. It never shortens the time that it is closed already.
    ///
    /// Where limits are known, they set the pace after it opens. With `opens_slowly` it opens slowly. This is for two cases:
    /// no limit is known, or everything that was sent since it last opened was refused, so that the last wait was too short.
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

    /// A request was served that was sent at this instant.
    pub(super) fn served(&mut self, sent_at: Instant) {
        self.served = self.served.saturating_add(u32::from(self.is_news(sent_at)));
        if self.serves_nothing && self.opened_at.is_none_or(|opened_at| sent_at >= opened_at) {
            self.serves_nothing = false;
        }
    }

    /// Records a refusal that says something new. Returns whether nothing was served since the one before.
    pub(super) fn refused_again(&mut self) -> bool {
        std::mem::replace(&mut self.serves_nothing, true)
    }

    /// Opens it at once and fully.
    pub(super) fn open(&mut self) {
        (self.next, self.until, self.gap, self.ramp, self.exempt) = (None, None, None, false, false);
    }

    /// Whether the refusal of a request says something new. It does not if the request had been sent before the gate was
    /// closed.
    pub(super) fn is_news(&self, sent_at: Instant) -> bool {
        self.closed_at.is_none_or(|closed_at| sent_at > closed_at)
    }

    /// Records a refusal that closes another gate than this one.
    pub(super) fn note_refusal(&mut self, now: Instant) {
        self.closed_at = Some(now);
    }

    /// Until when to close it after a refusal that names no wait: for a second at first, and for twice as long each time. Each
    /// quiet time as long as the last wait halves it again. If many requests were served, twice in a row, it is a second or
    /// less.
    pub(super) fn back_off(&mut self, now: Instant) -> Instant {
        let served = std::mem::take(&mut self.served);
        let before = std::mem::replace(&mut self.served_before, served);
        // Both counts must be high. Many served after one refusal and none after the next is a window, which will be used up
        // again.
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

    /// Starts again with the first wait for refusals that name none.
    pub(super) fn forget_back_off(&mut self) {
        self.backoff = Duration::ZERO;
    }

    /// Lets the rate grow only slowly, from half of what it was. `requests` is the number of requests in the last ten
    /// seconds.
    pub(super) fn ramp(&mut self, requests: u64) {
        let requests = u32::try_from(requests).unwrap_or(u32::MAX).max(1);
        let gap = (2 * RAMP_DOUBLING / requests).clamp(MIN_GAP, MAX_GAP);
        self.gap = self.gap.max(Some(gap));
        self.ramp = true;
    }

    /// When the next request may be admitted, if that is later than `now`.
    pub(super) fn blocks(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|&next| next > now && !self.exempt)
    }

    /// Allows one request before the gate opens.
    pub(super) fn exempt_one(&mut self) {
        self.exempt = true;
    }

    /// Until when nothing is admitted at all.
    pub(super) fn closed_until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|&until| until > now)
    }

    /// Whether it is not fully open: it is closed, was not looked at since, or opens slowly.
    pub(super) fn is_opening(&self) -> bool {
        self.next.is_some()
    }

    /// A request is admitted. `in_flight` is how many are in flight beside it.
    #[inline]
    pub(super) fn pass(&mut self, now: Instant, in_flight: usize) {
        if std::mem::take(&mut self.exempt) && self.next.is_some_and(|next| next > now) {
            return;
        }
        if self.until.is_some_and(|until| self.opened_at.is_none_or(|opened_at| opened_at < until)) {
            self.opened_at = Some(now);
            // Refusals come at once, and answers take longer. So requests that are still in flight were not refused.
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
            // This gives an exponential with this doubling time: gap * (gap / (doubling / ln 2)).
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

/// The instant after a wait of any length.
pub(super) fn after(now: Instant, wait: Duration) -> Instant {
    now + wait.min(FAR)
}
