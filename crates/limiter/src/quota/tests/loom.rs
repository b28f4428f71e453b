//! Loom models of the slots: no interleaving of settling, resizing, closing and dropping loses a slot, admits one request too
//! many or leaves a waiter asleep. There are no limits in time here, so there is no timer.

use std::{
    future::Future,
    task::{Context, Waker},
};

use loom::{
    future::block_on,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};
use tokio::time::Instant;

use crate::{Cost, QuotaDimension, QuotaError, QuotaLimiter};

const ONE: Cost = Cost::request();

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

fn quota(slots: usize) -> QuotaLimiter {
    QuotaLimiter::builder().max_concurrent(slots).build().unwrap()
}

fn at_rest(quota: &QuotaLimiter) {
    let snapshot = quota.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.waiting), (0, 0));
}

#[test]
fn a_charge_that_is_settled_lets_the_next_in() {
    model(|| {
        let (quota, inside) = (quota(1), Arc::new(AtomicUsize::new(0)));
        let other = thread::spawn({
            let (quota, inside) = (quota.clone(), Arc::clone(&inside));
            move || {
                let charge = block_on(quota.reserve(ONE)).unwrap().sent();
                assert_eq!(inside.fetch_add(1, SeqCst), 0, "two requests have the one slot");
                inside.fetch_sub(1, SeqCst);
                charge.settle(ONE);
            }
        });
        let charge = block_on(quota.reserve(ONE)).unwrap().sent();
        assert_eq!(inside.fetch_add(1, SeqCst), 0, "two requests have the one slot");
        inside.fetch_sub(1, SeqCst);
        charge.keep_estimate();
        other.join().unwrap();
        at_rest(&quota);
    });
}

#[test]
fn settling_meets_resizing() {
    model(|| {
        let quota = quota(1);
        let charge = quota.try_reserve_at(ONE, Instant::now()).unwrap().sent();
        let waiter = thread::spawn({
            let quota = quota.clone();
            move || block_on(quota.reserve(ONE)).unwrap().sent().settle(ONE)
        });
        let settling = thread::spawn(move || charge.settle(ONE));
        quota.set_max_concurrent(Some(0));
        quota.set_max_concurrent(Some(1));
        settling.join().unwrap();
        waiter.join().unwrap();
        at_rest(&quota);
    });
}

#[test]
fn a_grant_meets_new_requests() {
    model(|| {
        let quota = QuotaLimiter::builder().granted(QuotaDimension::Requests).build().unwrap();
        let tasks = [(); 2].map(|()| {
            let quota = quota.clone();
            thread::spawn(move || block_on(quota.reserve(ONE)).unwrap().sent().settle(ONE))
        });
        quota.grant(QuotaDimension::Requests, 1);
        quota.grant(QuotaDimension::Requests, 1);
        tasks.into_iter().for_each(|task| task.join().unwrap());
        at_rest(&quota);
        assert_eq!(quota.reclaim(QuotaDimension::Requests, 9), 0);
    });
}

#[test]
fn the_end_of_grants_meets_a_request_below() {
    model(|| {
        let account = QuotaLimiter::builder().granted(QuotaDimension::Requests).build().unwrap();
        let quota = QuotaLimiter::builder().under(&account).build().unwrap();
        let task = thread::spawn(move || block_on(quota.reserve(ONE)).unwrap().sent().refused());
        let waiting = account.snapshot().granted[0].queued;
        assert!(waiting <= 1);
        account.lift_grants(QuotaDimension::Requests);
        task.join().unwrap();
        at_rest(&account);
    });
}

#[test]
fn settling_meets_closing() {
    model(|| {
        let quota = quota(1);
        let charge = quota.try_reserve_at(ONE, Instant::now()).unwrap().sent();
        let waiter = thread::spawn({
            let quota = quota.clone();
            move || match block_on(quota.reserve(ONE)) {
                Ok(reservation) => reservation.sent().refund(),
                Err(error) => assert_eq!(error, QuotaError::Closed),
            }
        });
        let settling = thread::spawn(move || charge.settle(ONE));
        quota.close();
        settling.join().unwrap();
        waiter.join().unwrap();
        at_rest(&quota);
    });
}

#[test]
fn a_slot_that_was_granted_to_a_dropped_waiter_goes_to_the_next() {
    model(|| {
        let quota = quota(1);
        let charge = quota.try_reserve_at(ONE, Instant::now()).unwrap().sent();
        let mut first = Box::pin(quota.reserve(ONE));
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let second = thread::spawn({
            let quota = quota.clone();
            move || drop(block_on(quota.reserve(ONE)).unwrap())
        });
        let settling = thread::spawn(move || charge.settle(ONE));
        drop(first);
        settling.join().unwrap();
        second.join().unwrap();
        at_rest(&quota);
    });
}

/// A `try_reserve` that finds the lock taken waits for the lock, and does not fail.
#[test]
fn a_taken_lock_does_not_make_a_try_fail() {
    model(|| {
        let quota = quota(2);
        let other = thread::spawn({
            let quota = quota.clone();
            move || quota.try_reserve_at(ONE, Instant::now()).unwrap().sent().settle(ONE)
        });
        quota.try_reserve_at(ONE, Instant::now()).unwrap().sent().settle(ONE);
        other.join().unwrap();
        at_rest(&quota);
    });
}
