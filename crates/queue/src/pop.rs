//! Waiting for an item, to take it or to lease it.

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
        Guard, POPPERS, QueueWaiter, State, TakeKind, finish, may_pop, poll_due, popper_leaves,
        popper_was_woken, update_bounds,
    },
};

pin_project! {
    /// The future of [`Queue::pop`]. Dropping it takes nothing. If it is polled after it was ready, it waits for another
    /// item.
    #[must_use = "nothing is taken unless this is awaited"]
    pub struct Pop<'a, T, K = Infallible> where K: Ord {
        #[pin]
        request: PopRequest<'a, T, K>,
    }
}

pin_project! {
    /// The future of [`Queue::lease`]. Dropping it takes nothing. If it is polled after it was ready, it waits for another
    /// item.
    #[must_use = "nothing is taken unless this is awaited"]
    pub struct NextLease<'a, T, K = Infallible> where K: Ord {
        #[pin]
        request: PopRequest<'a, T, K>,
    }
}

pin_project! {
    /// The waiting part of a pop or a lease. If it is dropped after it was woken, the next waiter is woken instead.
    pub(crate) struct PopRequest<'a, T, K> where K: Ord {
        queue: &'a Queue<T, K>,
        #[pin]
        waiter: QueueWaiter<T, K>,
    }

    impl<T, K: Ord> PinnedDrop for PopRequest<'_, T, K> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                give_up(this.queue, this.waiter);
            }
        }
    }
}

/// The outcome of one attempt to take an item.
enum Outcome {
    Take,
    Closed,
    Wait,
}

impl<'a, T, K: Ord> Pop<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>) -> Self {
        Self { request: PopRequest::new(queue) }
    }
}

impl<'a, T, K: Ord> NextLease<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>) -> Self {
        Self { request: PopRequest::new(queue) }
    }
}

impl<'a, T, K: Ord> PopRequest<'a, T, K> {
    pub(crate) fn new(queue: &'a Queue<T, K>) -> Self {
        Self { queue, waiter: Waiter::new() }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiter.is_idle()
    }

    /// Calls `take` when an item is there for this request.
    pub(crate) fn poll_take<R>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        kind: TakeKind,
        take: impl FnOnce(&mut State<T, K>) -> Option<R>,
    ) -> Poll<Option<R>> {
        let coop = ready!(coop::poll_proceed(cx));
        let this = self.project();
        poll_slowly(this.queue.list.lock(), this.waiter, cx, coop, kind, take)
    }
}

impl<T, K: Ord> Future for Pop<'_, T, K> {
    type Output = Option<T>;

    // Inlined for the same reason as the poll of a push.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project().request.project();
        let coop = ready!(coop::poll_proceed(cx));
        let mut list = this.queue.list.hold();
        if this.waiter.is_idle()
            && let Some(item) = list.pop_quickly()
        {
            drop(list);
            coop.made_progress();
            return Poll::Ready(Some(item));
        }
        poll_slowly(list.locked(), this.waiter, cx, coop, TakeKind::Pop, State::pop)
    }
}

impl<T, K: Ord> Future for NextLease<'_, T, K> {
    type Output = Option<Lease<T, K>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let request = self.project().request;
        let queue = request.queue;
        let leased = ready!(request.poll_take(cx, TakeKind::Lease, State::lease));
        Poll::Ready(leased.map(|leased| Lease::new(queue, leased)))
    }
}

/// The slow path of a pop or a lease, where the count of items does not decide.
#[inline(never)]
fn poll_slowly<T, K: Ord, R>(
    mut list: Guard<'_, T, K>,
    mut waiter: Pin<&mut QueueWaiter<T, K>>,
    cx: &mut Context<'_>,
    coop: Unit,
    kind: TakeKind,
    take: impl FnOnce(&mut State<T, K>) -> Option<R>,
) -> Poll<Option<R>> {
    loop {
        list.promote();
        let waited = !waiter.is_idle();
        let look = if waiter.is_idle() {
            try_first(&mut list, waiter.as_mut(), kind, cx)
        } else {
            try_again(&mut list, waiter.as_mut(), kind, cx)
        };
        match look {
            Outcome::Take => {
                let taken = take(&mut list);
                let timer = if waited { popper_leaves(&mut list) } else { None };
                finish(list);
                drop(timer);
                coop.made_progress();
                return Poll::Ready(taken);
            }
            Outcome::Closed => {
                coop.made_progress();
                return Poll::Ready(None);
            }
            Outcome::Wait => {
                if list.delayed() == 0 || poll_due(&mut list, cx).is_pending() {
                    update_bounds(&mut list);
                    return Poll::Pending;
                }
            }
        }
    }
}

fn try_first<T, K: Ord>(
    list: &mut Guard<'_, T, K>,
    waiter: Pin<&mut QueueWaiter<T, K>>,
    kind: TakeKind,
    cx: &mut Context<'_>,
) -> Outcome {
    if may_pop(list, false) {
        return Outcome::Take;
    }
    if list.is_over() {
        return Outcome::Closed;
    }
    list.line(POPPERS).enqueue(waiter, kind.sort_key(), cx);
    Outcome::Wait
}

fn try_again<T, K: Ord>(
    list: &mut Guard<'_, T, K>,
    mut waiter: Pin<&mut QueueWaiter<T, K>>,
    kind: TakeKind,
    cx: &mut Context<'_>,
) -> Outcome {
    let woken = list.is_nudged(waiter.as_mut());
    if woken {
        popper_was_woken(list, kind);
    }
    if may_pop(list, woken) {
        list.leave(waiter);
        return Outcome::Take;
    }
    match list.poll_woken(waiter, cx) {
        // A waiter is taken out of its line only when the queue is closed and empty.
        Poll::Ready(_) => Outcome::Closed,
        Poll::Pending => Outcome::Wait,
    }
}

#[cold]
#[inline(never)]
fn give_up<T, K: Ord>(queue: &Queue<T, K>, mut waiter: Pin<&mut QueueWaiter<T, K>>) {
    let mut list = queue.list.lock();
    let woken = list.is_nudged(waiter.as_mut());
    if let (Some(Left::Queued(sort_key)), true) = (list.leave(waiter), woken) {
        popper_was_woken(&mut list, TakeKind::of(&sort_key));
    }
    let timer = popper_leaves(&mut list);
    finish(list);
    drop(timer);
}

impl<T, K: Ord> fmt::Debug for Pop<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pop").field("waiting", &self.request.is_waiting()).finish_non_exhaustive()
    }
}

impl<T, K: Ord> fmt::Debug for NextLease<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextLease").field("waiting", &self.request.is_waiting()).finish_non_exhaustive()
    }
}
