//! The quota limiter: the public handle.

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

/// Admits requests as the quotas of a provider allow: requests, tokens and
/// [named dimensions](super::QuotaDimension::named), per second, minute or day, and so many at once.
///
/// Make one limiter for each account, model, or whatever a provider counts by. Cloning gives another handle to the same
/// limiter.
///
/// - **All dimensions or none.** A request is admitted when every limit has room for it. Until then it takes nothing.
/// - **First in, first out.** A later request overtakes a waiting one only where that cannot delay it: the dimensions that
///   it uses will have enough for all requests ahead by the time at which the first of them can be admitted.
/// - **A cost larger than what may come at once** waits for a full bucket, and then takes it into debt. A cost larger than
///   the limit fails at once.
/// - **One gate for all requests.** After a refusal nothing is admitted for the wait that the refusal names, or for a wait
///   that is learned. After that the limits set the pace. Where no limit is known, the gate opens slowly: one request goes
///   first, the next follows after an eighth of the wait (at most half a second), and each gap is an eighth shorter than
///   the one before. So opening takes about as long as the gate was closed, and at most 4 s.
/// - **Corrected by the server.** [`observe`](Self::observe) moves the buckets to what the server says remains.
/// - **One timer**, however many requests wait.
#[derive(Clone)]
pub struct QuotaLimiter {
    queue: Arc<WaitQueue<QuotaPolicy>>,
}

impl QuotaLimiter {
    /// A builder without limits.
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
    /// Estimate rather high: a [`Charge`](super::Charge) that is settled gives back what the request did not use.
    ///
    /// # Errors
    ///
    /// [`QuotaError::Impossible`] at once if a limit is smaller than the cost. [`QuotaError::Closed`] once
    /// [`close`](Self::close) has been called. [`QuotaError::MustWait`] if [`before`](Reserve::before) has set a deadline
    /// that the wait would pass.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes it out of the queue. A reservation that it was given and did not take goes back.
    pub fn reserve(&self, cost: Cost) -> Reserve<'_> {
        Reserve::new(&self.queue, cost)
    }

    /// Reserves now, if every limit has room and no request waits.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve), with [`QuotaError::MustWait`] if it would have to wait.
    pub fn try_reserve(&self, cost: Cost) -> Result<Reservation, QuotaError> {
        self.try_reserve_at(cost, Instant::now())
    }

    /// As [`try_reserve`](Self::try_reserve), at a given instant, so that the clock is not read.
    ///
    /// # Errors
    ///
    /// As [`try_reserve`](Self::try_reserve).
    #[inline(always)]
    pub fn try_reserve_at(&self, cost: Cost, now: Instant) -> Result<Reservation, QuotaError> {
        self.queue.try_at(&cost, now)?;
        Ok(Reservation::new(Arc::clone(&self.queue), cost))
    }

    /// Adds units to a dimension that is counted by grants ([`QuotaBuilder::granted`]), and admits the waiting requests that
    /// they are enough for. For other dimensions it does nothing. It needs no runtime.
    ///
    /// ```
    /// use outbound_limiter::{Cost, QuotaDimension, QuotaLimiter};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let quota = QuotaLimiter::builder().granted(QuotaDimension::Tokens).max_concurrent(64).build()?;
    /// // The distributor of the limit grants a chunk of 5,000 tokens, and later takes back what is left of it.
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

    /// Takes back up to `units` of what was granted of a dimension and not used. Returns how much it took. The
    /// [`snapshot`](Self::snapshot) says how much waiting requests lack.
    pub fn reclaim(&self, dimension: QuotaDimension, units: u64) -> u64 {
        self.queue.with_policy(|policy| policy.limits.reclaim(dimension, units))
    }

    /// Counts a dimension by grants from now on, as if it had been [built](QuotaBuilder::granted) so: nothing is granted yet, and
    /// what requests in flight give back counts as granted. It does nothing if the dimension is counted so already.
    pub fn require_grants(&self, dimension: QuotaDimension) {
        self.queue.change(Instant::now(), |policy| {
            let charging = policy.charging;
            policy.limits.require_grants(dimension, charging);
        });
    }

    /// Counts a dimension by grants no longer, and admits the requests that have waited for one. What was granted or is owed is
    /// forgotten. Limits of the same dimension stay.
    pub fn lift_grants(&self, dimension: QuotaDimension) {
        self.queue.change(Instant::now(), |policy| policy.limits.lift_grants(dimension));
    }

    /// Records what a reply said about the limits.
    ///
    /// - **Limits.** A limit of the server holds from now on if it is lower than the user's limit, or if the user has set
    ///   none.
    /// - **What remains** at the server corrects the bucket, downwards and upwards. The server counted at some moment within a
    ///   quarter of a second after the request was sent. The bucket moves only as far as all these moments agree, and upwards
    ///   only to 0.15 s worth of the rate below. So replies may come late and in any order. The bucket is never raised beyond
    ///   the user's burst or the user's lower limit.
    /// - **Other clients.** What is missing at the server and was not sent from here is taken by other clients with the same
    ///   key. A running mean of it (over 15 s, less 4 % of the rate for noise) is left to them: it does not come in here, and
    ///   what they take in one second is held back. At least a tenth of the rate is always tried.
    /// - **Windows.** If a reset ends a window ([`Reading::resets_window`](super::Reading::resets_window)), nothing comes in
    ///   before that moment. The length of a window that the server does not name is found from its resets.
    /// - **Refusals.** A refusal closes the gate for the wait that it names. If it names none, the gate is closed until the
    ///   latest reset of the dimensions that are used up. If there is no reset either, it is closed for a second, and for
    ///   twice as long after each further refusal, up to a minute. Quiet times halve this wait again. A bucket of which the
    ///   refusal says what remains goes to a little below that. A bucket of which it says nothing is empty when the gate
    ///   opens, unless another dimension explains the refusal.
    /// - **No known limit.** What was served between two refusals is taken for the rate, which then grows slowly.
    pub fn observe(&self, now: Instant, observation: &Observation) {
        self.queue.change(now, |policy| policy.observe(observation, now));
    }

    /// Forgets what replies said about limits, for instance after the key has changed. The user's limits stay.
    pub fn forget_readings(&self, now: Instant) {
        self.queue.change(now, |policy| policy.forget_readings(now));
    }

    /// Closes the gate: nothing is admitted until this instant. If the gate is closed until later already, this changes
    /// nothing.
    pub fn close_gate_until(&self, now: Instant, until: Instant) {
        self.queue.change(now, |policy| policy.close_gate_until(now, until));
    }

    /// Opens the gate at once and fully, because the reason for closing it has ended. What was learned from refusals stays.
    pub fn open_gate(&self, now: Instant) {
        self.queue.change(now, QuotaPolicy::open_gate);
    }

    /// Until when nothing is admitted, by this gate or one above. `None` if all are open.
    pub fn gate_closed_until(&self, now: Instant) -> Option<Instant> {
        self.queue.with_policy(|policy| policy.closed_until(now))
    }

    /// Changes the limit per minute of a dimension while it is in use, as if it had been
    /// [set](super::QuotaBuilder::requests_per_minute) from the start. 0 counts as 1. With `None` only the limit of the
    /// server holds. A new limit begins with a full bucket. A waiting request for more than the limit is admitted when that
    /// much has come in.
    pub fn set_limit(&self, dimension: QuotaDimension, per_minute: Option<u64>) {
        let now = Instant::now();
        self.queue.change(now, |policy| policy.set_limit(dimension, per_minute, now));
    }

    /// Changes how many reservations and charges there may be at once. `None` for any number, and 0 for a pause.
    pub fn set_max_concurrent(&self, max: Option<usize>) {
        self.queue.change(Instant::now(), |policy| policy.set_max_concurrent(max));
    }

    /// Closes the limiter: nothing is admitted any more, and all waits end with [`QuotaError::Closed`]. Reservations that
    /// were made stay valid.
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

    /// The current state of the quotas.
    pub fn snapshot(&self) -> Snapshot {
        let now = Instant::now();
        let mut snapshot = self.queue.with_policy(|policy| policy.snapshot(now));
        if !snapshot.granted.is_empty() {
            // Locks are taken upwards only, so the quotas below are looked at without the lock of this one.
            let demand = hierarchy::demand(&self.queue, now);
            snapshot.granted = self.queue.with_policy(|policy| policy.limits.grant_snapshots(&demand));
        }
        snapshot
    }
}

impl Idle for QuotaLimiter {
    fn is_idle(&self) -> bool {
        let now = Instant::now();
        // Each reservation, each charge and the waker of the queue's timer hold a handle.
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
