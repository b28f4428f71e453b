//! One round over a wait queue: which waiters are admitted, and which have passed their deadline.

use outbound_waitlist::{Scan, Wakers};
use tokio::time::Instant;

use super::{Decision, LockedQueue, Outcome, Policy, Rejection};

pub(super) fn reject<P: Policy>(locked: &LockedQueue<'_, P>, cost: &P::Cost) -> Outcome<P> {
    if locked.closed {
        return Err(Rejection::Closed);
    }
    locked.policy.impossible(cost).map_or(Ok(()), |impossible| Err(Rejection::Impossible(impossible)))
}

pub(super) fn must_wait<P: Policy>(
    locked: &mut LockedQueue<'_, P>,
    cost: &P::Cost,
    now: Instant,
) -> Rejection<P::Impossible, P::Reason> {
    let (until, reason) = locked.policy.estimate(cost, now);
    Rejection::MustWait { now, until: until.filter(|&until| until > now), reason }
}

/// When the next round is needed, if nothing happens before.
pub(super) fn next_wake_up<P: Policy>(locked: &LockedQueue<'_, P>) -> Option<Instant> {
    if locked.is_empty() { None } else { earliest(locked.policy.next_round(), locked.first_deadline) }
}

/// Admits the waiters that the policy admits. `false` means that the wakers were full before the round ended.
pub(super) fn round<P: Policy>(locked: &mut LockedQueue<'_, P>, wakers: &mut Wakers, now: Instant) -> bool {
    locked.policy.begin_round(now);
    locked.scan(wakers, |state, entry| match state.policy.consider(&entry.cost) {
        Decision::Admit => {
            state.policy.left(&entry.cost);
            entry.outcome = Some(Ok(()));
            Scan::Wake
        }
        Decision::Wait => Scan::Keep,
        Decision::Stop => Scan::Stop,
    })
}

/// Rejects the waiters whose deadline has passed, or will pass before any request is admitted again. `false` means that
/// another round is needed, because the queue has changed or the wakers are full.
pub(super) fn expire<P: Policy>(locked: &mut LockedQueue<'_, P>, wakers: &mut Wakers, now: Instant) -> bool {
    if locked.first_deadline.is_none() {
        return true;
    }
    let closed_until = locked.policy.closed_until(now);
    let is_late = |deadline: Instant| deadline <= now || closed_until.is_some_and(|until| deadline < until);
    if !locked.first_deadline.is_some_and(is_late) {
        return true;
    }
    let (until, reason) = (closed_until.or(locked.policy.next_round()), locked.policy.reason());
    let (mut first, mut nobody) = (None, true);
    let done = locked.scan(wakers, |state, entry| {
        let Some(deadline) = entry.deadline else { return Scan::Keep };
        if !is_late(deadline) {
            first = earliest(first, Some(deadline));
            return Scan::Keep;
        }
        nobody = false;
        state.policy.left(&entry.cost);
        entry.outcome = Some(Err(Rejection::MustWait { now, until, reason }));
        Scan::Wake
    });
    if done {
        locked.first_deadline = first;
    }
    done && nobody
}

pub(super) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
