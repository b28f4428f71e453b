//! Whose turn it is: who may push or take now, and who is woken once something has changed.

use std::task::{Context, Poll, Waker};

use super::{Guard, JOINERS, POPPERS, PUSHERS, Taking};
use crate::{rank::Place, store::Alarm};

/// How many newcomers go ahead of a waiter that has been woken and has not run yet. Letting them saves a switch of
/// tasks for most items; after so many, what there is belongs to the woken.
const MAX_PASSES: u32 = 32;

/// Who of a line is on the way to its turn.
#[derive(Default)]
pub(super) struct Turns {
    /// Waiters that were woken and have not looked since. They stand in line while they are.
    pub(super) woken: usize,
    /// How many can take without one more being woken: 2^`woken` - 1. So each further one asks for twice as much: a burst
    /// wakes a few, who wake the next, and one that does not come when woken never keeps more than its share.
    pub(super) unnoticed: usize,
    /// Takings by others since one of them last took.
    passes: u32,
}

/// Whether a task that wants to push now may: as one that waited and was woken, or as a newcomer, who leaves the woken
/// what is theirs once it has passed too often, and never passes an item that ranks as high or higher. One that is
/// `patient` passes nobody.
#[inline]
pub(crate) fn may_push<T, K: Ord>(
    list: &mut Guard<'_, T, K>,
    place: &Place<K>,
    woken: bool,
    patient: bool,
) -> bool {
    let room = list.room();
    if room == 0 || list.line(PUSHERS).is_empty() {
        return room > 0;
    }
    let outranked =
        list.store.is_ranked() && list.line(PUSHERS).front().is_some_and(|(_, first)| *first <= *place);
    list.pushing.take(room, woken, patient || outranked)
}

/// Whether a task that wants to take an item now may: see [`may_push`].
#[inline]
pub(crate) fn may_pop<T, K: Ord>(list: &mut Guard<'_, T, K>, woken: bool) -> bool {
    let ready = list.ready();
    if ready == 0 || list.line(POPPERS).is_empty() {
        return ready > 0;
    }
    list.popping.take(ready, woken, false)
}

/// A waiter that was woken to push looks, or leaves.
#[inline]
pub(crate) fn pusher_was_woken<T, K: Ord>(list: &mut Guard<'_, T, K>) {
    list.pushing.looks();
}

/// A waiter that was woken to take an item looks, or leaves.
#[inline]
pub(crate) fn popper_was_woken<T, K: Ord>(list: &mut Guard<'_, T, K>, taking: Taking) {
    list.popping.looks();
    list.woken_pops -= usize::from(taking == Taking::Pop);
}

/// One who waited for an item goes, with one or without. What comes back is to be dropped after the lock.
pub(crate) fn leaves_poppers<T, K: Ord>(list: &mut Guard<'_, T, K>) -> Option<Alarm> {
    list.store.delayed.leave()
}

/// For one who waits for an item: ready if there may be one by now.
pub(crate) fn poll_due<T, K: Ord>(list: &mut Guard<'_, T, K>, cx: &mut Context<'_>) -> Poll<()> {
    list.store.delayed.poll_due(cx)
}

/// Ends a change, as every change is to be ended: releases the lock, and wakes whom it concerns. As long as there is
/// something to take and somebody waits for it, at least one of them is on its way; and as long as something is to come
/// with time, one of them keeps watch.
#[inline]
pub(crate) fn finish<T, K: Ord>(mut list: Guard<'_, T, K>) {
    if list.nobody_waits() {
        list.set_bounds(0, 0, false);
    } else {
        finish_and_wake(list);
    }
}

#[inline(never)]
fn finish_and_wake<T, K: Ord>(mut list: Guard<'_, T, K>) {
    let joined = list.unfinished == 0 && !list.line(JOINERS).is_empty();
    if joined || list.is_over() {
        return finish_and_release(list, Vec::new());
    }
    let (popper, pusher) = (next_popper(&mut list), next_pusher(&mut list));
    set_bounds(&mut list);
    drop(list);
    wake(popper);
    wake(pusher);
}

/// Closes, and lets everybody go who waits to push, and to pop if there is nothing to come. Nobody stands in line for
/// that again.
pub(crate) fn close<T, K: Ord>(mut list: Guard<'_, T, K>) {
    list.closed = true;
    list.pushing = Turns::default();
    let mut pushers = Vec::new();
    release(&mut list, PUSHERS, &mut pushers);
    finish_and_release(list, pushers);
}

/// As [`finish_and_wake`], where whole lines may be let go, and `released` was already.
#[cold]
#[inline(never)]
fn finish_and_release<T, K: Ord>(mut list: Guard<'_, T, K>, mut released: Vec<Waker>) {
    let (popper, pusher) = (next_popper(&mut list), next_pusher(&mut list));
    if list.unfinished == 0 {
        release(&mut list, JOINERS, &mut released);
    }
    if list.is_over() {
        release(&mut list, POPPERS, &mut released);
        list.popping = Turns::default();
        list.woken_pops = 0;
    }
    set_bounds(&mut list);
    drop(list);
    wake(popper);
    wake(pusher);
    released.into_iter().for_each(Waker::wake);
}

/// The next to be woken to take an item, if one should be.
#[inline]
fn next_popper<T, K: Ord>(list: &mut Guard<'_, T, K>) -> Option<Waker> {
    let unwatched = list.popping.woken == 0 && list.store.delayed.is_unwatched();
    if !(unwatched || list.popping.should_wake(list.ready())) || asleep(list, POPPERS) == 0 {
        return None;
    }
    let mut line = list.line(POPPERS);
    let (waker, place) = line.nudge_next()?;
    let pops = usize::from(Taking::of(place) == Taking::Pop);
    list.popping.wakes();
    list.woken_pops += pops;
    Some(waker)
}

/// The next to be woken to push, if one should be.
#[inline]
fn next_pusher<T, K: Ord>(list: &mut Guard<'_, T, K>) -> Option<Waker> {
    if !list.pushing.should_wake(list.room()) || asleep(list, PUSHERS) == 0 {
        return None;
    }
    let (waker, _) = list.line(PUSHERS).nudge_next()?;
    list.pushing.wakes();
    Some(waker)
}

/// To be called after every change of who waits, which [`finish`] does by itself.
#[inline]
pub(crate) fn set_bounds<T, K: Ord>(list: &mut Guard<'_, T, K>) {
    let (pushers_asleep, poppers_asleep) = (asleep(list, PUSHERS), asleep(list, POPPERS));
    let joiners = !list.line(JOINERS).is_empty();
    list.set_bounds(pushers_asleep, poppers_asleep, joiners);
}

/// How many of a line have not been woken.
#[inline]
fn asleep<T, K: Ord>(list: &mut Guard<'_, T, K>, line: usize) -> usize {
    let woken = if line == PUSHERS { list.pushing.woken } else { list.popping.woken };
    list.line(line).len() - woken
}

fn release<T, K: Ord>(list: &mut Guard<'_, T, K>, line: usize, released: &mut Vec<Waker>) {
    let mut line = list.line(line);
    released.reserve(line.len());
    while let Some(waker) = line.pop_front() {
        released.push(waker);
    }
}

#[inline]
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Turns {
    /// One more is woken.
    #[inline]
    fn wakes(&mut self) {
        self.woken += 1;
        self.unnoticed = self.unnoticed << 1 | 1;
    }

    /// One that was woken looks, or leaves.
    #[inline]
    fn looks(&mut self) {
        self.woken -= 1;
        let next = u32::try_from(self.woken).ok().and_then(|woken| 1_usize.checked_shl(woken));
        self.unnoticed = next.map_or(usize::MAX, |next| next - 1);
    }

    #[inline]
    fn should_wake(&self, available: usize) -> bool {
        available > self.unnoticed
    }

    #[inline]
    fn take(&mut self, available: usize, woken: bool, patient: bool) -> bool {
        if woken {
            self.passes = 0;
            return true;
        }
        // More than the woken can take: nobody is passed.
        if available > self.woken {
            return true;
        }
        if patient || self.passes >= MAX_PASSES {
            return false;
        }
        self.passes += 1;
        true
    }
}
