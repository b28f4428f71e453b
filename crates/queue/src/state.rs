//! What is behind a queue's one lock.

mod turns;

use std::collections::VecDeque;

use outbound_waitlist::{Locked, WaitList, Waiter};
use tokio::time::Instant;

use self::turns::Turns;
pub(crate) use self::turns::{
    close, finish, leaves_poppers, may_pop, may_push, poll_due, popper_was_woken, pusher_was_woken,
    set_bounds,
};
use crate::{
    rank::{Order, Place},
    store::{Store, Taken},
};

/// The lines of tasks that wait.
pub(crate) const PUSHERS: usize = 0;
pub(crate) const POPPERS: usize = 1;
pub(crate) const JOINERS: usize = 2;
const LINES: usize = 3;

/// Each waiter has the place of the item it brings, by which it is ordered, or that of one who brings none.
pub(crate) type List<T, K> = WaitList<State<T, K>, Place<K>, LINES>;
pub(crate) type Guard<'a, T, K> = Locked<'a, State<T, K>, Place<K>, LINES>;
pub(crate) type Spot<T, K> = Waiter<State<T, K>, Place<K>, LINES>;

pub(crate) struct State<T, K> {
    store: Store<T, K>,
    /// Items that are not done: in the store, or out on a lease, which hold their place. At most `capacity`, but for
    /// those that a woken pop is on its way for, and what a pool had to deliver.
    unfinished: usize,
    /// While fewer are unfinished, a push concerns nobody who waits, and none of them it: it need not look at the
    /// lines. Worked out by [`finish`], and may be lower than it could be, never higher.
    ceiling: usize,
    /// While more are unfinished, so it is with a pop, which finds an item that was never leased. May be higher than it
    /// could be.
    floor: usize,
    capacity: usize,
    /// Items out on a lease.
    leased: usize,
    closed: bool,
    pushing: Turns,
    popping: Turns,
    /// Of the waiters that were woken to take an item, how many pop it. See [`places`](Self::places).
    woken_pops: usize,
    /// The next ticket of a first lease.
    next_ticket: u64,
    /// Leases that were acknowledged.
    acknowledged: u64,
}

impl Taking {
    pub(crate) const fn place<K>(self) -> Place<K> {
        Place::ranked(self as u32)
    }

    pub(crate) fn of<K>(place: &Place<K>) -> Self {
        if place.rank() == Self::Pop as u32 { Self::Pop } else { Self::Lease }
    }
}

/// An item that goes out on a lease.
pub(crate) struct Leased<T, K> {
    pub(crate) item: T,
    /// The place it was pushed to.
    pub(crate) place: Place<K>,
    /// When it was first leased, counted in leases.
    pub(crate) ticket: u64,
    /// How often it has been leased, this time included.
    pub(crate) deliveries: u32,
}

/// What a task that waits for an item will do with it: its place in line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taking {
    /// The item leaves, and its place is free.
    Pop,
    /// The item keeps its place.
    Lease,
}

impl<T, K: Ord> State<T, K> {
    pub(crate) fn new(store: Store<T, K>, capacity: usize) -> Self {
        Self {
            unfinished: 0,
            ceiling: capacity,
            floor: 0,
            store,
            capacity,
            leased: 0,
            closed: false,
            pushing: Turns::default(),
            popping: Turns::default(),
            woken_pops: 0,
            next_ticket: 0,
            acknowledged: 0,
        }
    }

    /// Whether a push concerns nobody who waits.
    #[inline]
    pub(crate) fn takes_newcomers(&self) -> bool {
        self.unfinished < self.ceiling
    }

    /// Pops if that concerns nobody who waits.
    #[inline]
    pub(crate) fn pop_unnoticed(&mut self) -> Option<T> {
        if self.unfinished <= self.floor {
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

    /// Whether no item is to come: not from a push, nor with time.
    pub(crate) fn is_over(&self) -> bool {
        self.closed && self.delayed() == 0
    }

    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.places().saturating_sub(self.unfinished)
    }

    /// How many items there can be: `capacity`, and those that a woken pop is on its way for. Their places are free
    /// already: a producer goes on while its consumer comes, which with a capacity of 1 halves the switches between them.
    #[inline]
    fn places(&self) -> usize {
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
    pub(crate) fn push(&mut self, place: Place<K>, item: T) {
        self.unfinished += 1;
        self.store.push(place, item);
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let item = if self.store.is_fresh() { self.store.pop_fresh()? } else { self.store.pop()?.item };
        self.unfinished -= 1;
        Some(item)
    }

    pub(crate) fn push_delayed(&mut self, due: Instant, place: Place<K>, item: T) {
        self.unfinished += 1;
        self.store.delayed.push(due, Taken { item, place, ticket: None, deliveries: 0 });
    }

    /// Lets what is due be taken. Before every look at what is ready.
    #[inline]
    pub(crate) fn promote(&mut self) {
        if self.delayed() > 0 {
            self.store.promote(Instant::now());
        }
    }

    /// Takes as many as `limit`, but at least one and none of those that others have been woken for.
    pub(crate) fn pop_many(&mut self, items: &mut Vec<T>, limit: usize) -> usize {
        let unclaimed = self.ready().saturating_sub(self.popping.woken);
        let count = limit.min(unclaimed).max(1).min(self.ready());
        items.extend(std::iter::from_fn(|| self.pop()).take(count));
        count
    }

    /// Takes an item that keeps its place in the capacity.
    pub(crate) fn lease(&mut self) -> Option<Leased<T, K>> {
        let Taken { item, place, ticket, deliveries } = self.store.pop()?;
        self.leased += 1;
        let ticket = ticket.unwrap_or_else(|| {
            self.next_ticket += 1;
            self.next_ticket - 1
        });
        Some(Leased { item, place, ticket, deliveries: deliveries.saturating_add(1) })
    }

    /// Pushes from the front of `items` as many as there is room for beyond what others have been woken for, but at
    /// least one. There is room. The order of the queue is one that runs none of the user's code.
    pub(crate) fn push_many(&mut self, items: &mut VecDeque<T>, order: &Order<T, K>) {
        let unclaimed = self.room().saturating_sub(self.pushing.woken);
        for item in items.drain(..items.len().min(unclaimed.max(1))) {
            self.push(order.place_of(&item), item);
        }
    }

    /// Ends a lease whose item does not come back.
    pub(crate) fn end_lease(&mut self, acknowledged: bool) {
        self.leased -= 1;
        self.unfinished -= 1;
        self.acknowledged += u64::from(acknowledged);
    }

    /// Ends a lease whose item comes back, `due` now or later.
    pub(crate) fn put_back(
        &mut self,
        place: Place<K>,
        ticket: u64,
        deliveries: u32,
        item: T,
        due: Option<Instant>,
    ) {
        self.leased -= 1;
        match due {
            Some(due) => {
                self.store.delayed.push(due, Taken { item, place, ticket: Some(ticket), deliveries });
            }
            None => self.store.put_back(place, ticket, deliveries, item),
        }
    }

    pub(crate) fn take_all(&mut self) -> Store<T, K> {
        self.unfinished = self.leased;
        self.store.take()
    }

    /// See `ceiling` and `floor`. So many have been woken, and so many sleep, to push and to pop.
    #[inline]
    pub(crate) fn set_bounds(&mut self, pushers_asleep: usize, poppers_asleep: usize, joiners: bool) {
        let out = self.leased + self.delayed();
        // What newcomers leave to those that have been woken.
        self.ceiling = self.places().saturating_sub(self.pushing.woken);
        self.floor = out + self.popping.woken;
        if self.floor >= self.unfinished && self.unfinished >= self.ceiling {
            // Now it concerns others whatever is done, and then this is worked out again.
            (self.ceiling, self.floor) = (0, usize::MAX);
            return;
        }
        // From where on one more is woken.
        if poppers_asleep > 0 {
            self.ceiling = self.ceiling.min(out.saturating_add(self.popping.unnoticed));
        }
        if pushers_asleep > 0 {
            // More items may come, and with them places.
            let places = self.capacity.saturating_add(self.woken_pops);
            self.floor = self.floor.max(places.saturating_sub(self.pushing.unnoticed));
        }
        if joiners {
            self.floor = self.floor.max(1);
        }
        if self.closed {
            self.ceiling = 0;
        }
        // A pop looks at the clock then, or at what came back.
        if self.delayed() > 0 || !self.store.is_fresh() {
            self.floor = usize::MAX;
        }
    }
}
