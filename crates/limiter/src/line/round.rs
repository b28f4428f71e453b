//! One look over the line: who is let through, and who has waited too long.

use outbound_waitlist::{Scan, Wakers};
use tokio::time::Instant;

use super::{Answer, Desk, Queue, Refusal, Verdict};

pub(super) fn refuse<D: Desk>(line: &Queue<'_, D>, ask: &D::Ask) -> Answer<D> {
    if line.closed {
        return Err(Refusal::Closed);
    }
    line.desk.never(ask).map_or(Ok(()), |never| Err(Refusal::Never(never)))
}

pub(super) fn late<D: Desk>(
    line: &mut Queue<'_, D>,
    ask: &D::Ask,
    now: Instant,
) -> Refusal<D::Never, D::Reason> {
    let (until, reason) = line.desk.estimate(ask, now);
    Refusal::Late { now, until: until.filter(|&until| until > now), reason }
}

/// When the line must be looked at again, if nothing happens before.
pub(super) fn next_alarm<D: Desk>(line: &Queue<'_, D>) -> Option<Instant> {
    if line.is_empty() { None } else { earliest(line.desk.next_round(), line.first_deadline) }
}

/// Whether it came to the end of those whose turn it is, rather than to the end of the room for wakers.
pub(super) fn round<D: Desk>(line: &mut Queue<'_, D>, wakers: &mut Wakers, now: Instant) -> bool {
    line.desk.begin(now);
    line.scan(wakers, |state, entry| match state.desk.consider(&entry.ask) {
        Verdict::Admit => {
            state.desk.left(&entry.ask);
            entry.answer = Some(Ok(()));
            Scan::Wake
        }
        Verdict::Wait => Scan::Keep,
        Verdict::Stop => Scan::Stop,
    })
}

/// Refuses those whose deadline has passed or will pass before anybody is let through again. `false`: another round
/// is needed, since the line has changed or the wakers are full.
pub(super) fn expire<D: Desk>(line: &mut Queue<'_, D>, wakers: &mut Wakers, now: Instant) -> bool {
    if line.first_deadline.is_none() {
        return true;
    }
    let closed_until = line.desk.closed_until(now);
    let is_late = |deadline: Instant| deadline <= now || closed_until.is_some_and(|until| deadline < until);
    if !line.first_deadline.is_some_and(is_late) {
        return true;
    }
    let (until, reason) = (closed_until.or(line.desk.next_round()), line.desk.reason());
    let (mut first, mut nobody) = (None, true);
    let done = line.scan(wakers, |state, entry| {
        let Some(deadline) = entry.deadline else { return Scan::Keep };
        if !is_late(deadline) {
            first = earliest(first, Some(deadline));
            return Scan::Keep;
        }
        nobody = false;
        state.desk.left(&entry.ask);
        entry.answer = Some(Err(Refusal::Late { now, until, reason }));
        Scan::Wake
    });
    if done {
        line.first_deadline = first;
    }
    done && nobody
}

pub(super) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
