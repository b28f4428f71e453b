//! The limiter of several quotas.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use super::{
    Cost, Observation, QuotaBuilder, QuotaDimension, QuotaError, Reservation, Reserve, Snapshot,
    hierarchy::{self, Parent},
    policy::QuotaPolicy,
};
use crate::{
    keyed::sealed::Idle,
    wait_queue::{Policy, WaitQueue},
};

/// Lets requests through as the quotas of a provider allow: requests, tokens and [whatever else](super::QuotaDimension::named)
/// it counts, per second, minute or day, and so many at once.
///
/// Cloning gives another handle to the same limiter: one for each account, model or whatever else a provider counts by.
///
/// - **All dimensions or nothing**: a request is let through when every limit has room for it, and takes nothing from any
///   before that.
/// - **First in, first out.** A later request passes a waiting one only where that cannot delay it: the dimensions it uses
///   will suffice for all who are ahead by the time the first of them can go.
/// - **A cost larger than what may come at once** waits for a full bucket and then goes into debt. One larger than the
///   limit itself is refused at once.
/// - **One gate for everybody.** After a refusal nobody is let through until the time that was told, or learned. Then the
///   limits set the pace, told or learned. Where none is known one request goes, the next an eighth of that time later (at most half a second), and each gap is an eighth shorter
///   than the one before: opening takes about as long as the gate was closed, at most 4 s.
/// - **In step with the server.** [`observe`](Self::observe) moves the buckets to what the server says is left.
/// - One timer however many wait.
#[derive(Clone)]
pub struct QuotaLimiter {
    queue: Arc<WaitQueue<QuotaPolicy>>,
}

impl QuotaLimiter {
    /// Starts with no limits.
    pub const fn builder() -> QuotaBuilder {
        QuotaBuilder::new()
    }

    pub(super) fn new(policy: QuotaPolicy, parent: Option<Self>) -> Self {
        let Some(Self { queue: parent }) = parent else { return Self { queue: WaitQueue::new(policy) } };
        let above = Arc::clone(&parent);
        let queue = WaitQueue::with_parent(parent, |own_handle| policy.under(Parent::new(above, own_handle)));
        if queue.parent().is_some_and(|parent| parent.is_closed()) {
            queue.close();
        }
        Self { queue }
    }

    /// Waits until a request of this estimated cost may be sent.
    ///
    /// Estimate high: a [`Charge`](super::Charge) that is settled gives back what it did not use.
    ///
    /// # Errors
    ///
    /// [`QuotaError::Impossible`] at once if a limit is smaller than the cost, [`QuotaError::Closed`] once
    /// [`close`](Self::close) has been called, and [`QuotaError::MustWait`] if [`before`](Reserve::before) has set a
    /// limit to the wait.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in line; a reservation that it was given and did not take goes back.
    pub fn reserve(&self, cost: Cost) -> Reserve<'_> {
        Reserve::new(&self.queue, cost)
    }

    /// Reserves now, if every limit has room and nobody waits.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve), with [`QuotaError::MustWait`] if it would have to wait.
    pub fn try_reserve(&self, cost: Cost) -> Result<Reservation, QuotaError> {
        self.try_reserve_at(cost, Instant::now())
    }

    /// [`try_reserve`](Self::try_reserve) at an instant, which spares reading the clock.
    ///
    /// # Errors
    ///
    /// As [`try_reserve`](Self::try_reserve).
    #[inline(always)]
    pub fn try_reserve_at(&self, cost: Cost, now: Instant) -> Result<Reservation, QuotaError> {
        self.queue.try_at(&cost, now)?;
        Ok(Reservation::new(Arc::clone(&self.queue), cost))
    }

    /// Adds to what is granted of a dimension that is counted by grants ([`QuotaBuilder::granted`]), and lets through whom
    /// it suffices for. For another dimension it does nothing. It needs no runtime.
    ///
    /// ```
    /// use outbound_limiter::{Cost, QuotaDimension, QuotaLimiter};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let quota = QuotaLimiter::builder().granted(QuotaDimension::Tokens).max_concurrent(64).build()?;
    /// // Whoever shares the limit out has given us a chunk of 5,000 tokens, and later takes back what is left of it.
    /// quota.grant(QuotaDimension::Tokens, 5_000);
    /// let charge = quota.reserve(Cost::request().input_tokens(800).output_tokens(400)).await?.sent();
    /// charge.settle(Cost::request().input_tokens(790).output_tokens(97));
    /// assert_eq!(quota.reclaim(QuotaDimension::Tokens, 5_000), 4_113);
    /// # Ok(())
    /// # }
    /// ```
    pub fn grant(&self, dimension: QuotaDimension, units: u64) {
        self.queue.change(Instant::now(), |policy| policy.limits.grant(dimension, units));
    }

    /// Takes back so much of what is granted of a dimension and not used, or as much as there is, and says how much that
    /// was. How much those who wait lack is in the [`snapshot`](Self::snapshot).
    pub fn reclaim(&self, dimension: QuotaDimension, units: u64) -> u64 {
        self.queue.with_policy(|policy| policy.limits.reclaim(dimension, units))
    }

    /// Takes note of what a reply said about the limits.
    ///
    /// - A limit that is lower than the one told, or that was not told, holds from now on.
    /// - What remains at the server corrects the bucket, down and up. The server counted at some moment within a quarter
    ///   of a second after the request was sent; the bucket moves only as far as every such moment calls for, and up only
    ///   to 0.15 s worth of the rate below. So replies may come late and in any order. With an own burst or a limit
    ///   lower than the server's, the bucket is never raised beyond what those allow.
    /// - What is missing at the server and was not sent from here is taken by others who use the same key. A running mean
    ///   of it (over 15 s, less 4 % of the rate for noise) is left to them: it does not come in here, and what they
    ///   take in a second is held back. At least a tenth of the rate is tried, whatever they take.
    /// - If a reset is the end of a window ([`Reading::resets_window`](super::Reading::resets_window)), nothing comes in
    ///   before that moment. A window that the server did not name is as long as its resets say.
    /// - A refusal closes the gate for the wait it names; without one, until the latest reset of what it says is used up;
    ///   without that, for a second, and twice as long each time up to a minute, halved again by quiet spells. A
    ///   bucket of which the refusal says what is left goes to a little below that. One of which it says nothing is empty
    ///   when the gate opens, unless another explains the refusal.
    /// - Where no limit is known, what was served between two refusals is the rate from then on, and grows slowly.
    pub fn observe(&self, now: Instant, observation: &Observation) {
        self.queue.change(now, |policy| policy.observe(observation, now));
    }

    /// Forgets what replies said about limits: it was about other quotas. What the user told holds.
    pub fn forget_readings(&self, now: Instant) {
        self.queue.change(now, |policy| policy.forget_readings(now));
    }

    /// Lets nobody through until an instant. An earlier one than the gate has already changes nothing.
    pub fn close_gate_until(&self, now: Instant, until: Instant) {
        self.queue.change(now, |policy| policy.close_gate_until(now, until));
    }

    /// Opens the gate at once, fully: what it was closed for has ended. What was learned from refusals stays.
    pub fn open_gate(&self, now: Instant) {
        self.queue.change(now, QuotaPolicy::open_gate);
    }

    /// Until when nobody is let through, by this gate or one above: `None` if all are open.
    pub fn gate_closed_until(&self, now: Instant) -> Option<Instant> {
        self.queue.with_policy(|policy| policy.closed_until(now))
    }

    /// Changes the limit per minute of a dimension while it is at work, as if it had been
    /// [told](super::QuotaBuilder::requests_per_minute) from the start; 0 counts as 1. `None`: only what the server says
    /// holds. A limit that is new begins full. Who waits with more than the limit goes when so much has come in.
    pub fn set_limit(&self, dimension: QuotaDimension, per_minute: Option<u64>) {
        let now = Instant::now();
        self.queue.change(now, |policy| policy.set_limit(dimension, per_minute, now));
    }

    /// Changes how many reservations and charges there may be at once; `None` for any number, 0 for a pause.
    pub fn set_max_concurrent(&self, max: Option<usize>) {
        self.queue.change(Instant::now(), |policy| policy.set_max_concurrent(max));
    }

    /// Lets nobody through any more and ends all waiting with [`QuotaError::Closed`]. What was reserved stays good.
    pub fn close(&self) {
        hierarchy::close(&self.queue);
    }

    /// Whether [`close`](Self::close) has been called.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// How many reservations and charges there are.
    pub fn in_flight(&self) -> usize {
        self.queue.with_policy(|policy| policy.in_flight())
    }

    /// Where the quotas stand.
    pub fn snapshot(&self) -> Snapshot {
        let now = Instant::now();
        self.queue.with_policy(|policy| policy.snapshot(now))
    }
}

impl Idle for QuotaLimiter {
    fn is_idle(&self) -> bool {
        let now = Instant::now();
        // Every reservation, charge and waker of the line holds a handle.
        Arc::strong_count(&self.queue) == 1
            && !self.is_closed()
            && self.queue.with_policy(|policy| policy.is_idle(now))
    }
}

impl fmt::Debug for QuotaLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaLimiter").field("snapshot", &self.snapshot()).finish_non_exhaustive()
    }
}
