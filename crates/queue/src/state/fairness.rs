//! The fairness of a queue: which task may push or take now, and which waiters are woken after a change.

use std::task::{Context, Poll, Waker};

use super::{Guard, JOINERS, POPPERS, PUSHERS, TakeKind};
use crate::{rank::SortKey, store::DueTimer};

/// How many newcomers may overtake a waiter that has been woken and has not run yet. Letting them go ahead saves a task
/// switch for most items. After this many, newcomers leave the items to the woken waiters.
const MAX_OVERTAKES: u32 = 32;

/// The waiters of one line that have been woken, and what newcomers may still take.
#[derive(Default)]
pub(super) struct Fairness {
    /// Waiters that were woken and have not been polled since. They stay in the line until then.
    pub(super) woken: usize,
    /// How many items or slots can be there without waking one more waiter: 2^`woken` - 1. So each further wake-up needs
    /// twice as many. A burst wakes a few waiters, and those wake the next. A waiter that is not polled after its wake-up
    /// never keeps more than one item from the others for long.
    pub(super) covered: usize,
    /// How often newcomers have overtaken woken waiters since a woken waiter last took something.
    overtakes: u32,
}

/// Whether a task may push now. A task that waited and was woken may, if a slot is free. A newcomer may overtake woken
/// waiters at most [`MAX_OVERTAKES`] times in a row, and never one whose item ranks as high as its own or higher. With
/// `never_overtakes` it overtakes nobody.
#[inline]
pub(crate) fn may_push<T, K: Ord>(
    list: &mut Guard<'_, T, K>,
    sort_key: &SortKey<K>,
    woken: bool,
    never_overtakes: bool,
) -> bool {
    let room = list.room();
    if room == 0 || list.line(PUSHERS).is_empty() {
        return room > 0;
    }
    let outranked =
        list.store.is_ranked() && list.line(PUSHERS).front().is_some_and(|(_, first)| *first <= *sort_key);
    list.pushing.may_take(room, woken, never_overtakes || outranked)
}

/// Whether a task may take an item now, by the same rules as [`may_push`].
#[inline]
pub(crate) fn may_pop<T, K: Ord>(list: &mut Guard<'_, T, K>, woken: bool) -> bool {
    let ready = list.ready();
    if ready == 0 || list.line(POPPERS).is_empty() {
        return ready > 0;
    }
    list.popping.may_take(ready, woken, false)
}

/// A waiter that was woken to push has been polled, or leaves.
#[inline]
pub(crate) fn pusher_was_woken<T, K: Ord>(list: &mut Guard<'_, T, K>) {
    list.pushing.one_polled();
}

/// A waiter that was woken to take an item has been polled, or leaves.
#[inline]
pub(crate) fn popper_was_woken<T, K: Ord>(list: &mut Guard<'_, T, K>, kind: TakeKind) {
    list.popping.one_polled();
    list.woken_pops -= usize::from(kind == TakeKind::Pop);
}

/// A waiter for an item leaves, with an item or without. The timer that is returned must be dropped after the lock is
/// released.
pub(crate) fn popper_leaves<T, K: Ord>(list: &mut Guard<'_, T, K>) -> Option<DueTimer> {
    list.store.delayed.leave()
}

/// For a waiter for an item: ready if a delayed item may be due.
pub(crate) fn poll_due<T, K: Ord>(list: &mut Guard<'_, T, K>, cx: &mut Context<'_>) -> Poll<()> {
    list.store.delayed.poll_due(cx)
}

/// Ends a change. Every change has to end with this: it releases the lock, and wakes the waiters that can go on.
///
/// Two invariants hold afterwards. While there is an item and tasks wait for items, at least one of those tasks has been
/// woken. While there are delayed items and tasks wait for items, one of those tasks has set the timer for the first one.
#[inline]
pub(crate) fn finish<T, K: Ord>(mut list: Guard<'_, T, K>) {
    if list.nobody_waits() {
        list.update_bounds(0, 0, false);
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
    update_bounds(&mut list);
    drop(list);
    wake(popper);
    wake(pusher);
}

/// Closes the queue and lets go all waiters that push. The waiters that pop are let go too if no item will come. After
/// this no push waits.
pub(crate) fn close<T, K: Ord>(mut list: Guard<'_, T, K>) {
    list.closed = true;
    list.pushing = Fairness::default();
    let mut pushers = Vec::new();
    release(&mut list, PUSHERS, &mut pushers);
    finish_and_release(list, pushers);
}

/// As [`finish_and_wake`], where whole lines may be let go. `released` holds the wakers of those let go before.
#[cold]
#[inline(never)]
fn finish_and_release<T, K: Ord>(mut list: Guard<'_, T, K>, mut released: Vec<Waker>) {
    let (popper, pusher) = (next_popper(&mut list), next_pusher(&mut list));
    if list.unfinished == 0 {
        release(&mut list, JOINERS, &mut released);
    }
    if list.is_over() {
        release(&mut list, POPPERS, &mut released);
        list.popping = Fairness::default();
        list.woken_pops = 0;
    }
    update_bounds(&mut list);
    drop(list);
    wake(popper);
    wake(pusher);
    released.into_iter().for_each(Waker::wake);
}

/// The waker of the next waiter to be woken to take an item, if one should be.
#[inline]
fn next_popper<T, K: Ord>(list: &mut Guard<'_, T, K>) -> Option<Waker> {
    let needs_timer = list.popping.woken == 0 && list.store.delayed.needs_timer();
    if !(needs_timer || list.popping.should_wake(list.ready())) || asleep(list, POPPERS) == 0 {
        return None;
    }
    let mut line = list.line(POPPERS);
    let (waker, sort_key) = line.nudge_next()?;
    let pops = usize::from(TakeKind::of(sort_key) == TakeKind::Pop);
    list.popping.one_woken();
    list.woken_pops += pops;
    Some(waker)
}

/// The waker of the next waiter to be woken to push, if one should be.
#[inline]
fn next_pusher<T, K: Ord>(list: &mut Guard<'_, T, K>) -> Option<Waker> {
    if !list.pushing.should_wake(list.room()) || asleep(list, PUSHERS) == 0 {
        return None;
    }
    let (waker, _) = list.line(PUSHERS).nudge_next()?;
    list.pushing.one_woken();
    Some(waker)
}

/// Has to be called after every change of the waiters. [`finish`] does it.
#[inline]
pub(crate) fn update_bounds<T, K: Ord>(list: &mut Guard<'_, T, K>) {
    let (pushers_asleep, poppers_asleep) = (asleep(list, PUSHERS), asleep(list, POPPERS));
    let joiners = !list.line(JOINERS).is_empty();
    list.update_bounds(pushers_asleep, poppers_asleep, joiners);
}

/// How many waiters of a line have not been woken.
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

impl Fairness {
    /// One more waiter is woken.
    #[inline]
    fn one_woken(&mut self) {
        self.woken += 1;
        self.covered = self.covered << 1 | 1;
    }

    /// A waiter that was woken has been polled, or leaves.
    #[inline]
    fn one_polled(&mut self) {
        self.woken -= 1;
        let next = u32::try_from(self.woken).ok().and_then(|woken| 1_usize.checked_shl(woken));
        self.covered = next.map_or(usize::MAX, |next| next - 1);
    }

    #[inline]
    fn should_wake(&self, available: usize) -> bool {
        available > self.covered
    }

    #[inline]
    fn may_take(&mut self, available: usize, woken: bool, never_overtakes: bool) -> bool {
        if woken {
            self.overtakes = 0;
            return true;
        }
        // There is more than the woken waiters will take, so nobody is overtaken.
        if available > self.woken {
            return true;
        }
        if never_overtakes || self.overtakes >= MAX_OVERTAKES {
            return false;
        }
        self.overtakes += 1;
        true
    }
}
