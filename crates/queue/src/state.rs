//! The state of a queue, which is behind its one lock.

mod fairness;

use std::collections::VecDeque;

use outbound_waitlist::{Locked, WaitList, Waiter};
use tokio::time::Instant;

use self::fairness::Fairness;
pub(crate) use self::fairness::{
    close, finish, may_pop, may_push, poll_due, popper_leaves, popper_was_woken, pusher_was_woken,
    update_bounds,
};
use crate::{
    rank::{Order, SortKey},
    store::{Store, StoredItem},
};

/// The lines of waiting tasks.
pub(crate) const PUSHERS: usize = 0;
pub(crate) const POPPERS: usize = 1;
pub(crate) const JOINERS: usize = 2;
const LINES: usize = 3;

/// The value of a waiter is a sort key: of the item that it pushes, or of its [`TakeKind`].
pub(crate) type List<T, K> = WaitList<State<T, K>, SortKey<K>, LINES>;
pub(crate) type Guard<'a, T, K> = Locked<'a, State<T, K>, SortKey<K>, LINES>;
pub(crate) type QueueWaiter<T, K> = Waiter<State<T, K>, SortKey<K>, LINES>;

pub(crate) struct State<T, K> {
    store: Store<T, K>,
    /// Items that are not done, in the store or leased. At most `capacity`, plus the items that woken pops will take, plus
    /// the results that a pool had to push beyond the capacity.
    unfinished: usize,
    /// While fewer items are unfinished, a push does not have to look at the lines of waiters: it wakes none of them and
    /// overtakes none. Computed by [`finish`]. It may be too low, never too high.
    quick_push_below: usize,
    /// While more items are unfinished, the same holds for a pop, and there is an item that was never leased. It may be
    /// too high, never too low.
    quick_pop_above: usize,
    capacity: usize,
    /// Items that are leased.
    leased: usize,
    closed: bool,
    pushing: Fairness,
    popping: Fairness,
    /// How many of the waiters that were woken to take an item will pop it. See
    /// [`total_capacity`](Self::total_capacity).
    woken_pops: usize,
    /// The number of the next item that is leased for the first time.
    next_number: u64,
    /// Leases that were acknowledged.
    acknowledged: u64,
}

impl TakeKind {
    pub(crate) const fn sort_key<K>(self) -> SortKey<K> {
        SortKey::ranked(self as u32)
    }

    pub(crate) fn of<K>(sort_key: &SortKey<K>) -> Self {
        if sort_key.rank() == Self::Pop as u32 { Self::Pop } else { Self::Lease }
    }
}

/// An item that is being leased.
pub(crate) struct Leased<T, K> {
    pub(crate) item: T,
    /// The sort key of its push.
    pub(crate) sort_key: SortKey<K>,
    /// How many items were leased for the first time before it.
    pub(crate) number: u64,
    /// How often it has been leased, including this time.
    pub(crate) deliveries: u32,
}

/// What a task that waits for an item will do with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakeKind {
    /// The item leaves the queue, and its slot is free.
    Pop,
    /// The item keeps its slot.
    Lease,
}

impl<T, K: Ord> State<T, K> {
    pub(crate) fn new(store: Store<T, K>, capacity: usize) -> Self {
        Self {
            unfinished: 0,
            quick_push_below: capacity,
            quick_pop_above: 0,
            store,
            capacity,
            leased: 0,
            closed: false,
            pushing: Fairness::default(),
            popping: Fairness::default(),
            woken_pops: 0,
            next_number: 0,
            acknowledged: 0,
        }
    }

    /// Whether a push does not have to look at the lines of waiters.
    #[inline]
    pub(crate) fn can_push_quickly(&self) -> bool {
        self.unfinished < self.quick_push_below
    }

    /// Pops if it does not have to look at the lines of waiters.
    #[inline]
    pub(crate) fn pop_quickly(&mut self) -> Option<T> {
        if self.unfinished <= self.quick_pop_above {
            return None;
        }
        let item = self.store.pop_fresh()?;
        self.unfinished -= 1;
        Some(item)
    }

    /// Items that can be taken.
    #[inline]
    pub(crate) fn ready(&self) -> usize {
        self.unfinished - self.leased - self.delayed()
    }

    /// Items that are not due.
    #[inline]
    pub(crate) fn delayed(&self) -> usize {
        self.store.delayed.len()
    }

    /// Whether no item will come any more, neither by a push nor by becoming due.
    pub(crate) fn is_over(&self) -> bool {
        self.closed && self.delayed() == 0
    }

    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.total_capacity().saturating_sub(self.unfinished)
    }

    /// How many items there can be: `capacity`, plus the items that woken pops will take. The slots of those are free
    /// already, so that a producer goes on before its consumer runs. With a capacity of 1 this halves the task switches.
    #[inline]
    fn total_capacity(&self) -> usize {
        self.capacity.saturating_add(self.woken_pops.min(self.ready()))
    }

    #[inline]
    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished
    }

    pub(crate) fn is_ranked(&self) -> bool {
        self.store.is_ranked()
    }

    pub(crate) fn leased(&self) -> usize {
        self.leased
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    #[inline]
    pub(crate) fn push(&mut self, sort_key: SortKey<K>, item: T) {
        self.unfinished += 1;
        self.store.push(sort_key, item);
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let item = if self.store.is_fresh() { self.store.pop_fresh()? } else { self.store.pop()?.item };
        self.unfinished -= 1;
        Some(item)
    }

    pub(crate) fn push_delayed(&mut self, due: Instant, sort_key: SortKey<K>, item: T) {
        self.unfinished += 1;
        self.store.delayed.push(due, StoredItem { item, sort_key, number: None, deliveries: 0 });
    }

    /// Makes the items that are due ready. It has to be called before the number of ready items is read.
    #[inline]
    pub(crate) fn promote(&mut self) {
        if self.delayed() > 0 {
            self.store.promote(Instant::now());
        }
    }

    /// Takes up to `limit` items, but at least one. Items that other tasks have been woken for are left to them.
    pub(crate) fn pop_many(&mut self, items: &mut Vec<T>, limit: usize) -> usize {
        let unclaimed = self.ready().saturating_sub(self.popping.woken);
        let count = limit.min(unclaimed).max(1).min(self.ready());
        items.extend(std::iter::from_fn(|| self.pop()).take(count));
        count
    }

    /// Leases an item. It keeps its slot in the capacity.
    pub(crate) fn lease(&mut self) -> Option<Leased<T, K>> {
        let StoredItem { item, sort_key, number, deliveries } = self.store.pop()?;
        self.leased += 1;
        let number = number.unwrap_or_else(|| {
            self.next_number += 1;
            self.next_number - 1
        });
        Some(Leased { item, sort_key, number, deliveries: deliveries.saturating_add(1) })
    }

    /// Pushes items from the front of `items`, but at least one. It fills the free slots, except those that other tasks
    /// have been woken for. At least one slot is free. The order of the queue is that of arrival, so no user code runs.
    pub(crate) fn push_many(&mut self, items: &mut VecDeque<T>, order: &Order<T, K>) {
        let unclaimed = self.room().saturating_sub(self.pushing.woken);
        for item in items.drain(..items.len().min(unclaimed.max(1))) {
            self.push(order.sort_key_of(&item), item);
        }
    }

    /// Ends a lease whose item does not come back.
    pub(crate) fn end_lease(&mut self, acknowledged: bool) {
        self.leased -= 1;
        self.unfinished -= 1;
        self.acknowledged += u64::from(acknowledged);
    }

    /// Ends a lease whose item comes back, at once or at `due`.
    pub(crate) fn put_back(
        &mut self,
        sort_key: SortKey<K>,
        number: u64,
        deliveries: u32,
        item: T,
        due: Option<Instant>,
    ) {
        self.leased -= 1;
        match due {
            Some(due) => {
                self.store.delayed.push(due, StoredItem { item, sort_key, number: Some(number), deliveries });
            }
            None => self.store.put_back(sort_key, number, deliveries, item),
        }
    }

    pub(crate) fn take_all(&mut self) -> Store<T, K> {
        self.unfinished = self.leased;
        self.store.take()
    }

    /// Computes `quick_push_below` and `quick_pop_above`. A waiter is asleep if it has not been woken.
    #[inline]
    pub(crate) fn update_bounds(&mut self, pushers_asleep: usize, poppers_asleep: usize, joiners: bool) {
        let out = self.leased + self.delayed();
        // Newcomers leave one slot or item to each waiter that has been woken.
        self.quick_push_below = self.total_capacity().saturating_sub(self.pushing.woken);
        self.quick_pop_above = out + self.popping.woken;
        if self.quick_pop_above >= self.unfinished && self.unfinished >= self.quick_push_below {
            // Now every operation has to look at the lines, and this is computed again after it.
            (self.quick_push_below, self.quick_pop_above) = (0, usize::MAX);
            return;
        }
        // From this many items on, one more popper has to be woken.
        if poppers_asleep > 0 {
            self.quick_push_below = self.quick_push_below.min(out.saturating_add(self.popping.covered));
        }
        if pushers_asleep > 0 {
            // More items may become ready, and with them the total capacity grows.
            let total = self.capacity.saturating_add(self.woken_pops);
            self.quick_pop_above = self.quick_pop_above.max(total.saturating_sub(self.pushing.covered));
        }
        if joiners {
            self.quick_pop_above = self.quick_pop_above.max(1);
        }
        if self.closed {
            self.quick_push_below = 0;
        }
        // Then a pop has to read the clock, or to look at the items that came back.
        if self.delayed() > 0 || !self.store.is_fresh() {
            self.quick_pop_above = usize::MAX;
        }
    }
}
