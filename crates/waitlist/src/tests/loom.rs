//! Loom models of a semaphore with one permit: no interleaving loses a permit or leaves a waiter asleep for ever.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use loom::{future::block_on, thread};

use crate::{Left, Scan, WaitList, Waiter, Wakers};

#[derive(Clone)]
struct Semaphore(WaitList<State, ()>);

struct State {
    permits: usize,
    closed: bool,
}

type SemaphoreWaiter = Waiter<State, ()>;

impl Semaphore {
    fn new(permits: usize) -> Self {
        Self(WaitList::new(State { permits, closed: false }))
    }

    fn release(&self) {
        let mut list = self.0.lock();
        let waker = list.pop_front();
        if waker.is_none() {
            list.permits += 1;
        }
        drop(list);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn close(&self) {
        loop {
            let mut wakers = Wakers::new();
            let mut list = self.0.lock();
            list.closed = true;
            if list.scan(&mut wakers, |_, ()| Scan::Wake) {
                break;
            }
        }
    }

    /// Ready with `true` if it got a permit, and with `false` if the semaphore is closed.
    fn poll_acquire(&self, waiter: Pin<&mut SemaphoreWaiter>, cx: &mut Context<'_>) -> Poll<bool> {
        let mut list = self.0.lock();
        if !waiter.is_idle() {
            return list.poll_woken(waiter, cx).map(|()| !list.closed);
        }
        if list.closed {
            return Poll::Ready(false);
        }
        if list.permits > 0 && list.is_empty() {
            list.permits -= 1;
            return Poll::Ready(true);
        }
        list.enqueue(waiter, (), cx);
        Poll::Pending
    }

    fn leave(&self, waiter: Pin<&mut SemaphoreWaiter>) {
        let left = self.0.lock().leave(waiter);
        if left == Some(Left::Woken(())) {
            self.release();
        }
    }

    fn acquire(&self) -> impl Future<Output = bool> {
        let this = self.clone();
        async move {
            let mut waiter = pin!(Waiter::new());
            poll_fn(|cx| this.poll_acquire(waiter.as_mut(), cx)).await
        }
    }
}

#[test]
fn a_permit_passes_between_threads() {
    loom::model(|| {
        let semaphore = Semaphore::new(1);
        let other = semaphore.clone();
        let thread = thread::spawn(move || {
            assert!(block_on(other.acquire()));
            other.release();
        });
        assert!(block_on(semaphore.acquire()));
        semaphore.release();
        thread.join().unwrap();
        assert_eq!(semaphore.0.lock().permits, 1);
    });
}

#[test]
fn a_waiter_that_gives_up_hands_its_grant_on() {
    loom::model(|| {
        let semaphore = Semaphore::new(0);
        let mut quitter = Box::pin(Waiter::new());
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        assert!(semaphore.poll_acquire(quitter.as_mut(), cx).is_pending());
        let releaser = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.release())
        };
        let stayer = {
            let semaphore = semaphore.clone();
            thread::spawn(move || assert!(block_on(semaphore.acquire())))
        };
        semaphore.leave(quitter.as_mut());
        releaser.join().unwrap();
        stayer.join().unwrap();
    });
}

#[test]
fn a_waiter_dropped_in_line_is_no_longer_in_it() {
    loom::model(|| {
        let semaphore = Semaphore::new(0);
        let mut quitter = Box::pin(Waiter::new());
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        assert!(semaphore.poll_acquire(quitter.as_mut(), cx).is_pending());
        let popper = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.0.lock().pop_front().map(std::task::Waker::wake))
        };
        drop(quitter);
        popper.join().unwrap();
        assert!(semaphore.0.lock().is_empty());
    });
}

#[test]
fn closing_wakes_a_waiter_at_any_moment() {
    loom::model(|| {
        let semaphore = Semaphore::new(0);
        let waiting = {
            let semaphore = semaphore.clone();
            thread::spawn(move || assert!(!block_on(semaphore.acquire())))
        };
        semaphore.close();
        waiting.join().unwrap();
    });
}
