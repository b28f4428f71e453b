//! A queue of waiters and the policy that admits them as time allows. Rates and quotas share it.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Wake, Waker},
};

use outbound_waitlist::{Left, Locked, Scan, WaitList, Waiter, Wakers};
use tokio::time::Instant;

mod policy;
mod queue_timer;
mod request;
mod round;

pub(crate) use self::{
    policy::{Decision, Outcome, Policy, Rejection},
    request::Request,
};

use self::{
    queue_timer::QueueTimer,
    round::{earliest, expire, must_wait, next_wake_up, reject, round},
};

/// The queue. Its handle is an `Arc`. The same `Arc` is what its timer wakes.
///
/// The timer belongs to the queue and not to its first waiter. When the timer fires, the queue admits all waiters that are
/// due. So no waiter is woken for nothing, and a waiter that is not polled does not delay the others.
pub(crate) struct WaitQueue<P: Policy> {
    list: WaitList<State<P>, Entry<P>>,
    /// The queue above this one. Its policy has to admit too.
    parent: Option<Arc<Self>>,
}

#[derive(Debug)]
struct State<P> {
    policy: P,
    timer: QueueTimer,
    /// Not later than the earliest deadline in the queue.
    first_deadline: Option<Instant>,
    closed: bool,
}

/// What a waiter has in the queue.
#[derive(Debug)]
struct Entry<P: Policy> {
    cost: P::Cost,
    deadline: Option<Instant>,
    /// Set when the waiter is let go.
    outcome: Option<Outcome<P>>,
}

type LockedQueue<'a, P> = Locked<'a, State<P>, Entry<P>>;
type QueueWaiter<P> = Waiter<State<P>, Entry<P>>;

/// Whether the caller runs inside a tokio runtime. Only then may it register the timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RuntimeContext {
    /// It is a waiting task or the timer.
    Inside,
    /// It may be outside of any runtime. Then the first waiter is woken to register the timer.
    Unknown,
}

impl<P: Policy> WaitQueue<P> {
    pub(crate) fn new(policy: P) -> Arc<Self> {
        Arc::new(Self::from_parts(policy, None))
    }

    /// A queue below another queue. The policy is made with the handle of this queue, by which the upper one knows it.
    pub(crate) fn with_parent(parent: Arc<Self>, policy: impl FnOnce(Weak<Self>) -> P) -> Arc<Self> {
        Arc::new_cyclic(|own_handle| Self::from_parts(policy(Weak::clone(own_handle)), Some(parent)))
    }

    fn from_parts(policy: P, parent: Option<Arc<Self>>) -> Self {
        let state = State { policy, timer: QueueTimer::new(), first_deadline: None, closed: false };
        Self { list: WaitList::new(state), parent }
    }

    pub(crate) fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// Admits a cost now, if no waiter is in the queue.
    // Always inlined: the outcome is a large type, and a call would return it through memory.
    #[inline(always)]
    pub(crate) fn try_at(self: &Arc<Self>, cost: &P::Cost, now: Instant) -> Outcome<P> {
        if self.admits_at_once(cost, now) { Ok(()) } else { self.try_slowly(cost, now) }
    }

    /// The slow path of [`try_at`](Self::try_at).
    #[cold]
    #[inline(never)]
    fn try_slowly(self: &Arc<Self>, cost: &P::Cost, now: Instant) -> Outcome<P> {
        let mut locked = self.list.lock();
        reject(&locked, cost)?;
        if locked.is_empty() {
            locked.policy.begin_round(now);
            if locked.policy.consider(cost) == Decision::Admit {
                return Ok(());
            }
        }
        let rejection = must_wait(&mut locked, cost, now);
        locked.policy.did_not_join();
        drop(locked);
        P::follow_up(self, now, RuntimeContext::Unknown);
        Err(rejection)
    }

    /// Admits a cost now, if no waiter is in the queue and the fast check of the policy suffices. `false` means that the
    /// slow path has to decide.
    #[inline(always)]
    pub(crate) fn admits_at_once(&self, cost: &P::Cost, now: Instant) -> bool {
        let Some(mut locked) = self.list.try_hold() else { return false };
        !locked.closed && locked.nobody_waits() && locked.policy.admit_at_once(cost, now)
    }

    /// Calls `read` with the policy. It must change nothing that could let a waiter be admitted.
    #[inline]
    pub(crate) fn with_policy<R>(&self, read: impl FnOnce(&mut P) -> R) -> R {
        read(&mut self.list.hold().policy)
    }

    /// As [`with_policy`](Self::with_policy), with the cost of the first waiter.
    pub(crate) fn with_front<R>(&self, read: impl FnOnce(&P, Option<&P::Cost>) -> R) -> R {
        let mut locked = self.list.lock();
        let head = locked.front().map(|(_, entry)| entry.cost);
        read(&locked.policy, head.as_ref())
    }

    /// As [`with_policy`](Self::with_policy), or `None` if the queue is closed.
    #[inline]
    pub(crate) fn with_policy_if_open<R>(&self, read: impl FnOnce(&mut P) -> R) -> Option<R> {
        let mut locked = self.list.hold();
        if locked.closed { None } else { Some(read(&mut locked.policy)) }
    }

    /// Changes the policy, and admits the waiters that can be admitted now.
    pub(crate) fn change<R>(self: &Arc<Self>, now: Instant, change: impl FnOnce(&mut P) -> R) -> R {
        let mut locked = self.list.lock();
        let result = change(&mut locked.policy);
        let nobody = !locked.policy.note_change() & locked.is_empty();
        drop(locked);
        if !nobody {
            self.serve(now, RuntimeContext::Unknown);
        }
        result
    }

    /// Gives something back to the policy. The clock is read only if a waiter may be admitted by it.
    #[inline(always)]
    pub(crate) fn release(self: &Arc<Self>, give: impl FnOnce(&mut P)) {
        let mut locked = self.list.hold();
        give(&mut locked.policy);
        let nobody = !locked.policy.note_change() & locked.nobody_waits();
        drop(locked);
        if !nobody {
            self.serve_now();
        }
    }

    #[cold]
    #[inline(never)]
    fn serve_now(self: &Arc<Self>) {
        self.serve(Instant::now(), RuntimeContext::Unknown);
    }

    pub(crate) fn close(&self) {
        loop {
            let mut wakers = Wakers::new();
            let mut locked = self.list.lock();
            locked.closed = true;
            let done = locked.scan(&mut wakers, |state, entry| {
                state.policy.left(&entry.cost);
                entry.outcome = Some(Err(Rejection::Closed));
                Scan::Wake
            });
            if done {
                return locked.timer.clear();
            }
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.list.lock().closed
    }

    pub(crate) fn waiting(&self) -> usize {
        self.list.lock().len()
    }

    /// Admits a cost, or rejects it, or puts its waiter at the end of the queue.
    fn poll_join(
        self: &Arc<Self>,
        waiter: Pin<&mut QueueWaiter<P>>,
        cost: P::Cost,
        deadline: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<P>> {
        let now = Instant::now();
        let mut locked = self.list.lock();
        if !locked.closed && locked.is_empty() && locked.policy.admit_at_once(&cost, now) {
            return Poll::Ready(Ok(()));
        }
        let outcome = Self::join(&mut locked, waiter, cost, deadline, now, cx);
        drop(locked);
        P::follow_up(self, now, RuntimeContext::Inside);
        outcome
    }

    fn join(
        locked: &mut LockedQueue<'_, P>,
        waiter: Pin<&mut QueueWaiter<P>>,
        cost: P::Cost,
        deadline: Option<Instant>,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<P>> {
        reject(locked, &cost)?;
        let admitted = match locked.front() {
            Some((state, head)) => state.policy.try_overtake(&head.cost, &cost, now),
            None => {
                locked.policy.begin_round(now);
                locked.policy.consider(&cost) == Decision::Admit
            }
        };
        if admitted {
            return Poll::Ready(Ok(()));
        }
        if let Some(deadline) = deadline {
            let (until, _) = locked.policy.estimate(&cost, now);
            if deadline <= now || until.is_none_or(|until| until > deadline) {
                let rejection = must_wait(locked, &cost, now);
                locked.policy.did_not_join();
                return Poll::Ready(Err(rejection));
            }
            locked.first_deadline = earliest(locked.first_deadline, Some(deadline));
        }
        locked.policy.joined(&cost);
        locked.enqueue(waiter, Entry { cost, deadline, outcome: None }, cx);
        Poll::Pending
    }

    /// Ready with the outcome of a waiter in the queue. It also registers the timer, because the waiter may have been woken
    /// for that.
    fn poll_outcome(
        self: &Arc<Self>,
        mut waiter: Pin<&mut QueueWaiter<P>>,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<P>> {
        loop {
            let mut locked = self.list.lock();
            if let Poll::Ready(entry) = locked.poll_woken(waiter.as_mut(), cx) {
                return Poll::Ready(entry.outcome.unwrap_or(Err(Rejection::Closed)));
            }
            if self.register_timer(&mut locked).is_pending() {
                return Poll::Pending;
            }
            drop(locked);
            self.serve(Instant::now(), RuntimeContext::Inside);
        }
    }

    /// A waiter leaves. It may have delayed others, so these are looked at. What it was granted is given back.
    fn leave(self: &Arc<Self>, waiter: Pin<&mut QueueWaiter<P>>) {
        let now = Instant::now();
        let mut locked = self.list.lock();
        let mut unused = None;
        match locked.leave(waiter) {
            Some(Left::Queued(entry)) => locked.policy.left(&entry.cost),
            Some(Left::Woken(entry)) if matches!(entry.outcome, Some(Ok(()))) => unused = Some(entry.cost),
            _ => {}
        }
        drop(locked);
        let Some(cost) = unused else { return self.serve(now, RuntimeContext::Unknown) };
        for queue in std::iter::successors(Some(self), |queue| queue.parent()) {
            queue.change(now, |policy| policy.give_back(&cost));
        }
    }

    /// Admits all waiters that can be admitted, here and in the queues that depend on this one.
    fn serve(self: &Arc<Self>, now: Instant, context: RuntimeContext) {
        self.serve_own(now, context);
        P::follow_up(self, now, context);
    }

    /// Admits all waiters of this queue that can be admitted.
    pub(crate) fn serve_own(self: &Arc<Self>, now: Instant, context: RuntimeContext) {
        let mut now = now;
        loop {
            let mut wakers = Wakers::new();
            let mut locked = self.list.lock();
            let done = round(&mut locked, &mut wakers, now) && expire(&mut locked, &mut wakers, now);
            if !done || wakers.is_full() {
                continue;
            }
            match context {
                RuntimeContext::Inside if self.register_timer(&mut locked).is_ready() => {
                    now = now.max(Instant::now());
                }
                RuntimeContext::Inside => return,
                RuntimeContext::Unknown => {
                    match next_wake_up(&locked) {
                        None => locked.timer.clear(),
                        Some(at) if locked.timer.is_due_by(at) => {}
                        Some(_) => wakers.push(locked.nudge_front()),
                    }
                    return;
                }
            }
        }
    }

    /// Registers the next wake-up of the timer. Ready if it is due already.
    fn register_timer(self: &Arc<Self>, locked: &mut LockedQueue<'_, P>) -> Poll<()> {
        let Some(at) = next_wake_up(locked) else {
            locked.timer.clear();
            return Poll::Pending;
        };
        if locked.timer.is_due_by(at) {
            return Poll::Pending;
        }
        locked.timer.register(at, &Waker::from(Arc::clone(self)))
    }
}

impl<P: Policy> Wake for WaitQueue<P> {
    /// The timer has fired.
    fn wake(self: Arc<Self>) {
        let now = Instant::now();
        let mut locked = self.list.lock();
        let runtime_lives = locked.timer.fired(now);
        drop(locked);
        self.serve(now, if runtime_lives { RuntimeContext::Inside } else { RuntimeContext::Unknown });
    }
}

impl<P: Policy> fmt::Debug for WaitQueue<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.fmt(f)
    }
}
