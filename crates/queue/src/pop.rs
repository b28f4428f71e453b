//! Waiting for an item: to have it, or to have it on a lease.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use outbound_waitlist::{Left, Waiter};
use pin_project_lite::pin_project;

use crate::{
    coop::{self, Unit},
    lease::Lease,
    queue::Queue,
    state::{
        Guard, POPPERS, Spot, State, Taking, finish, leaves_poppers, may_pop, poll_due, popper_was_woken,
        set_bounds,
    },
};

pin_project! {
    /// The future of [`Queue::pop`]. Dropping it takes nothing. Polled after it was ready, it waits for one more item.
    #[must_use = "nothing is taken unless this is awaited"]
    pub struct Pop<'a, T, K = Infallible> where K: Ord {
        #[pin]
        turn: PopTurn<'a, T, K>,
    }
}

pin_project! {
    /// The future of [`Queue::lease`]. Dropping it takes nothing. Polled after it was ready, it waits for one more
    /// item.
    #[must_use = "nothing is taken unless this is awaited"]
    pub struct NextLease<'a, T, K = Infallible> where K: Ord {
        #[pin]
        turn: PopTurn<'a, T, K>,
    }
}

pin_project! {
    /// The waiting half of a pop or a lease. If it goes away when it has been woken, the next one is in its stead.
    pub(crate) struct PopTurn<'a, T, K> where K: Ord {
        queue: &'a Queue<T, K>,
        #[pin]
        waiter: Spot<T, K>,
    }

    impl<T, K: Ord> PinnedDrop for PopTurn<'_, T, K> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                give_up(this.queue, this.waiter);
            }
        }
    }
}

/// What one look at the queue came to.
enum Look {
    Take,
    Closed,
    Wait,
}

impl<'a, T, K: Ord> Pop<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>) -> Self {
        Self { turn: PopTurn::new(queue) }
    }
}

impl<'a, T, K: Ord> NextLease<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>) -> Self {
        Self { turn: PopTurn::new(queue) }
    }
}

impl<'a, T, K: Ord> PopTurn<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>) -> Self {
        Self { queue, waiter: Waiter::new() }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiter.is_idle()
    }

    /// Takes with `take` when it is this one's turn.
    pub(crate) fn poll_take<R>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        taking: Taking,
        take: impl FnOnce(&mut State<T, K>) -> Option<R>,
    ) -> Poll<Option<R>> {
        let coop = ready!(coop::poll_proceed(cx));
        let this = self.project();
        poll_slowly(this.queue.list.lock(), this.waiter, cx, coop, taking, take)
    }
}

impl<T, K: Ord> Future for Pop<'_, T, K> {
    type Output = Option<T>;

    // As with a push.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project().turn.project();
        let coop = ready!(coop::poll_proceed(cx));
        let mut list = this.queue.list.hold();
        if this.waiter.is_idle()
            && let Some(item) = list.pop_unnoticed()
        {
            drop(list);
            coop.made_progress();
            return Poll::Ready(Some(item));
        }
        poll_slowly(list.locked(), this.waiter, cx, coop, Taking::Pop, State::pop)
    }
}

impl<T, K: Ord> Future for NextLease<'_, T, K> {
    type Output = Option<Lease<T, K>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let turn = self.project().turn;
        let queue = turn.queue;
        let leased = ready!(turn.poll_take(cx, Taking::Lease, State::lease));
        Poll::Ready(leased.map(|leased| Lease::new(queue, leased)))
    }
}

/// Ends a take that needs more than a look at the count of items.
#[inline(never)]
fn poll_slowly<T, K: Ord, R>(
    mut list: Guard<'_, T, K>,
    mut waiter: Pin<&mut Spot<T, K>>,
    cx: &mut Context<'_>,
    coop: Unit,
    taking: Taking,
    take: impl FnOnce(&mut State<T, K>) -> Option<R>,
) -> Poll<Option<R>> {
    loop {
        list.promote();
        let waited = !waiter.is_idle();
        let look = if waiter.is_idle() {
            look_first(&mut list, waiter.as_mut(), taking, cx)
        } else {
            look_again(&mut list, waiter.as_mut(), taking, cx)
        };
        match look {
            Look::Take => {
                let taken = take(&mut list);
                let alarm = if waited { leaves_poppers(&mut list) } else { None };
                finish(list);
                drop(alarm);
                coop.made_progress();
                return Poll::Ready(taken);
            }
            Look::Closed => {
                coop.made_progress();
                return Poll::Ready(None);
            }
            Look::Wait => {
                if list.delayed() == 0 || poll_due(&mut list, cx).is_pending() {
                    set_bounds(&mut list);
                    return Poll::Pending;
                }
            }
        }
    }
}

fn look_first<T, K: Ord>(
    list: &mut Guard<'_, T, K>,
    waiter: Pin<&mut Spot<T, K>>,
    taking: Taking,
    cx: &mut Context<'_>,
) -> Look {
    if may_pop(list, false) {
        return Look::Take;
    }
    if list.is_over() {
        return Look::Closed;
    }
    list.line(POPPERS).enqueue(waiter, taking.place(), cx);
    Look::Wait
}

fn look_again<T, K: Ord>(
    list: &mut Guard<'_, T, K>,
    mut waiter: Pin<&mut Spot<T, K>>,
    taking: Taking,
    cx: &mut Context<'_>,
) -> Look {
    let woken = list.is_nudged(waiter.as_mut());
    if woken {
        popper_was_woken(list, taking);
    }
    if may_pop(list, woken) {
        list.leave(waiter);
        return Look::Take;
    }
    match list.poll_woken(waiter, cx) {
        // Only the end takes a waiter out of its line.
        Poll::Ready(_) => Look::Closed,
        Poll::Pending => Look::Wait,
    }
}

#[cold]
#[inline(never)]
fn give_up<T, K: Ord>(queue: &Queue<T, K>, mut waiter: Pin<&mut Spot<T, K>>) {
    let mut list = queue.list.lock();
    let woken = list.is_nudged(waiter.as_mut());
    if let (Some(Left::Queued(place)), true) = (list.leave(waiter), woken) {
        popper_was_woken(&mut list, Taking::of(&place));
    }
    let alarm = leaves_poppers(&mut list);
    finish(list);
    drop(alarm);
}

impl<T, K: Ord> fmt::Debug for Pop<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pop").field("waiting", &self.turn.is_waiting()).finish_non_exhaustive()
    }
}

impl<T, K: Ord> fmt::Debug for NextLease<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextLease").field("waiting", &self.turn.is_waiting()).finish_non_exhaustive()
    }
}
