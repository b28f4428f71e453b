//! Loom models of the permit word and the queue: no interleaving loses a permit, breaks the limit or leaves a waiter
//! asleep.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use loom::{
    future::block_on,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use crate::ConcurrencyLimiter;

/// Counts the permits that are held.
#[derive(Clone)]
struct Inside(Arc<AtomicUsize>);

impl Inside {
    fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(0)))
    }

    fn pass(&self, weight: usize, limit: usize) {
        assert!(self.0.fetch_add(weight, SeqCst) + weight <= limit, "more permits are held than the limit");
        self.0.fetch_sub(weight, SeqCst);
    }
}

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

fn at_rest(limiter: &ConcurrencyLimiter, limit: usize) {
    assert_eq!((limiter.available(), limiter.in_use(), limiter.waiting()), (limit, 0, 0));
    assert!(limiter.shared.word.take_unlocked(limit), "the flag for waiters is clear");
}

#[test]
fn two_threads_share_one_permit() {
    model(|| {
        let (limiter, inside) = (ConcurrencyLimiter::new(1), Inside::new());
        let other = thread::spawn({
            let (limiter, inside) = (limiter.clone(), inside.clone());
            move || {
                let permit = block_on(limiter.acquire());
                inside.pass(1, 1);
                drop(permit);
            }
        });
        let permit = block_on(limiter.acquire());
        inside.pass(1, 1);
        drop(permit);
        other.join().unwrap();
        at_rest(&limiter, 1);
    });
}

#[test]
fn a_release_meets_a_newcomer_and_a_barger() {
    model(|| {
        let limiter = ConcurrencyLimiter::new(1);
        let held = limiter.clone().try_acquire_owned().unwrap();
        let waiter = thread::spawn({
            let limiter = limiter.clone();
            move || drop(block_on(limiter.acquire()))
        });
        let barger = thread::spawn({
            let limiter = limiter.clone();
            move || drop(limiter.try_acquire())
        });
        drop(held);
        waiter.join().unwrap();
        barger.join().unwrap();
        at_rest(&limiter, 1);
    });
}

#[test]
fn weights_keep_the_limit() {
    model(|| {
        let (limiter, inside) = (ConcurrencyLimiter::new(2), Inside::new());
        let other = thread::spawn({
            let (limiter, inside) = (limiter.clone(), inside.clone());
            move || {
                let permit = block_on(limiter.acquire_many(2));
                inside.pass(2, 2);
                drop(permit);
            }
        });
        let permit = block_on(limiter.acquire());
        inside.pass(1, 2);
        drop(permit);
        other.join().unwrap();
        at_rest(&limiter, 2);
    });
}

/// The first of three waiters is dropped at every point of a release. The next one is admitted all the same.
#[test]
fn a_grant_races_the_drop_of_its_waiter() {
    model(|| {
        let limiter = ConcurrencyLimiter::new(1);
        let held = limiter.clone().try_acquire_owned().unwrap();
        let second = thread::spawn({
            let limiter = limiter.clone();
            move || {
                let mut first = Box::pin(limiter.acquire());
                let cx = &mut Context::from_waker(Waker::noop());
                let polled = first.as_mut().poll(cx);
                let mut next = Box::pin(limiter.acquire());
                if polled.is_pending() {
                    drop(first);
                } else {
                    drop((polled, first));
                }
                match next.as_mut().poll(cx) {
                    Poll::Ready(permit) => drop(permit),
                    Poll::Pending => drop(block_on(next)),
                }
            }
        });
        drop(held);
        second.join().unwrap();
        at_rest(&limiter, 1);
    });
}

#[test]
fn a_woken_waiter_that_is_dropped_wakes_the_next() {
    model(|| {
        let limiter = ConcurrencyLimiter::new(1);
        let held = limiter.clone().try_acquire_owned().unwrap();
        let mut first = Box::pin(limiter.acquire_owned());
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(cx).is_pending());
        let second = thread::spawn({
            let limiter = limiter.clone();
            move || drop(block_on(limiter.acquire()))
        });
        let releaser = thread::spawn(move || drop(held));
        drop(first);
        releaser.join().unwrap();
        second.join().unwrap();
        at_rest(&limiter, 1);
    });
}

#[test]
fn shrink_and_grow_meet_acquire() {
    model(|| {
        let limiter = ConcurrencyLimiter::new(1);
        let other = thread::spawn({
            let limiter = limiter.clone();
            move || drop(block_on(limiter.acquire()))
        });
        limiter.resize(0);
        assert!(limiter.try_acquire().is_none());
        limiter.resize(2);
        other.join().unwrap();
        at_rest(&limiter, 2);
    });
}

#[test]
fn a_request_for_more_than_the_limit_runs_alone() {
    model(|| {
        let (limiter, inside) = (ConcurrencyLimiter::new(1), Inside::new());
        let other = thread::spawn({
            let (limiter, inside) = (limiter.clone(), inside.clone());
            move || {
                let permit = block_on(limiter.acquire_many(3));
                inside.pass(3, 3);
                drop(permit);
            }
        });
        let mut acquire = pin!(limiter.acquire());
        let permit = match acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => permit,
            Poll::Pending => block_on(acquire),
        };
        inside.pass(1, 3);
        drop(permit);
        other.join().unwrap();
        at_rest(&limiter, 1);
    });
}
