//! Permits: order, weights, resizing and cancelling.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
};

use futures::future::join_all;
use outbound_limiter::ConcurrencyLimiter;
use proptest::prelude::*;

use crate::support::{ms, poll_once, settle};

fn usage(limiter: &ConcurrencyLimiter) -> (usize, usize, usize) {
    (limiter.available(), limiter.in_use(), limiter.waiting())
}

#[tokio::test]
async fn permits_come_and_go() {
    let limiter = ConcurrencyLimiter::new(3);
    let one = limiter.acquire().await;
    let two = limiter.acquire_many_owned(2).await;
    assert_eq!((one.count(), two.count()), (1, 2));
    assert_eq!(usage(&limiter), (0, 3, 0));
    assert!(limiter.try_acquire().is_none());
    drop(two);
    assert!(limiter.try_acquire_many(3).is_none());
    assert!(limiter.try_acquire_owned().is_some());
    drop(one);
    assert_eq!(usage(&limiter), (3, 0, 0));
    assert_eq!(limiter.limit(), 3);
}

#[tokio::test]
async fn first_come_first_served_by_weight() {
    let limiter = ConcurrencyLimiter::new(2);
    let held = limiter.acquire_many(2).await;
    let mut large = pin!(limiter.acquire_many(2));
    let mut small = pin!(limiter.acquire());
    assert!(poll_once(large.as_mut()).is_pending());
    assert!(poll_once(small.as_mut()).is_pending());
    assert_eq!(limiter.waiting(), 2);
    drop(held);
    // The large request was first. The small one would fit as soon as one permit is back, but it is behind the large one.
    assert!(poll_once(small.as_mut()).is_pending());
    let Poll::Ready(permit) = poll_once(large.as_mut()) else { panic!("the first request gets its permits") };
    drop(permit);
    assert!(poll_once(small.as_mut()).is_ready());
}

#[tokio::test]
async fn a_large_request_is_not_starved_by_a_stream_of_small_ones() {
    let limiter = ConcurrencyLimiter::new(4);
    let held = limiter.acquire().await;
    let mut large = pin!(limiter.acquire_many(4));
    assert!(poll_once(large.as_mut()).is_pending());
    for _ in 0..100 {
        assert!(limiter.try_acquire().is_none(), "a try does not overtake");
    }
    drop(held);
    assert!(poll_once(large.as_mut()).is_ready());
}

#[tokio::test]
async fn a_request_larger_than_the_limit_runs_alone() {
    let limiter = ConcurrencyLimiter::new(2);
    let held = limiter.acquire().await;
    let mut huge = pin!(limiter.acquire_many(10));
    assert!(poll_once(huge.as_mut()).is_pending());
    drop(held);
    let Poll::Ready(permit) = poll_once(huge.as_mut()) else { panic!("nothing else is in use") };
    assert_eq!(usage(&limiter), (0, 10, 0));
    assert!(limiter.try_acquire().is_none());
    drop(permit);
    assert_eq!(usage(&limiter), (2, 0, 0));
    assert_eq!(limiter.try_acquire_many(usize::MAX).unwrap().count(), ConcurrencyLimiter::MAX_PERMITS);
    assert_eq!(usage(&limiter), (2, 0, 0));
}

#[tokio::test]
async fn shrinking_below_what_is_in_use_waits_for_it() {
    let limiter = ConcurrencyLimiter::new(3);
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(limiter.acquire().await);
    }
    limiter.resize(1);
    assert_eq!((limiter.limit(), usage(&limiter)), (1, (0, 3, 0)));
    let mut next = pin!(limiter.acquire());
    for permit in held {
        assert!(poll_once(next.as_mut()).is_pending());
        drop(permit);
    }
    assert!(poll_once(next.as_mut()).is_ready());
}

#[tokio::test]
async fn growing_admits_exactly_as_many_as_fit() {
    let limiter = ConcurrencyLimiter::new(0);
    let inside = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let (limiter, inside) = (limiter.clone(), Arc::clone(&inside));
            tokio::spawn(async move {
                let _permit = limiter.acquire().await;
                inside.fetch_add(1, SeqCst);
                std::future::pending::<()>().await;
            })
        })
        .collect();
    settle().await;
    assert_eq!(inside.load(SeqCst), 0, "a limit of 0 is a pause");
    for limit in [3, 7, 10] {
        limiter.resize(limit);
        settle().await;
        assert_eq!(inside.load(SeqCst), limit);
    }
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    for task in tasks {
        assert!(task.await.unwrap_err().is_cancelled());
    }
    assert_eq!(usage(&limiter), (10, 0, 0));
}

#[tokio::test]
async fn a_large_limit_admits_all_waiting_requests() {
    let (limiter, is_shut_down) = (ConcurrencyLimiter::new(1), AtomicUsize::new(0));
    let _held = limiter.acquire().await;
    // More waiters than one batch of wakers holds.
    let waiting = join_all((0..40).map(|_| async {
        let _permit = limiter.acquire().await;
        is_shut_down.load(SeqCst)
    }));
    let (answers, ()) = tokio::join!(waiting, async {
        assert_eq!(limiter.waiting(), 40);
        is_shut_down.store(1, SeqCst);
        limiter.resize(ConcurrencyLimiter::MAX_PERMITS);
    });
    assert_eq!(answers, [1; 40]);
    assert_eq!((limiter.waiting(), limiter.in_use()), (0, 1));
}

#[tokio::test]
async fn a_first_request_that_is_dropped_lets_the_next_in() {
    let limiter = ConcurrencyLimiter::new(3);
    let _held = limiter.acquire_many(2).await;
    let mut small = pin!(limiter.acquire());
    {
        let mut large = pin!(limiter.acquire_many(3));
        assert!(poll_once(large.as_mut()).is_pending());
        assert!(poll_once(small.as_mut()).is_pending());
    }
    assert!(poll_once(small.as_mut()).is_ready());
}

#[tokio::test]
async fn a_request_for_no_permits_waits_only_for_those_ahead() {
    let limiter = ConcurrencyLimiter::new(1);
    let held = limiter.acquire().await;
    let (mut one, mut none) = (pin!(limiter.acquire()), pin!(limiter.acquire_many(0)));
    assert!(poll_once(one.as_mut()).is_pending() && poll_once(none.as_mut()).is_pending());
    drop(held);
    assert!(poll_once(none.as_mut()).is_ready() && poll_once(one.as_mut()).is_ready());
}

#[tokio::test]
async fn a_woken_waiter_that_is_dropped_passes_its_permit_on() {
    let limiter = ConcurrencyLimiter::new(1);
    let held = limiter.acquire().await;
    let mut first = Box::pin(limiter.acquire());
    let mut second = pin!(limiter.acquire());
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    drop(held);
    drop(first);
    assert!(poll_once(second.as_mut()).is_ready());
}

#[tokio::test]
async fn a_waiter_that_is_never_polled_again_keeps_only_its_own_permit() {
    let limiter = ConcurrencyLimiter::new(2);
    let (a, b) = (limiter.acquire().await, limiter.acquire().await);
    let mut forgotten = pin!(limiter.acquire());
    assert!(poll_once(forgotten.as_mut()).is_pending());
    let mut other = pin!(limiter.acquire());
    assert!(poll_once(other.as_mut()).is_pending());
    drop(a);
    drop(b);
    assert!(poll_once(other.as_mut()).is_ready());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_run_at_once_than_the_limit() {
    let limiter = ConcurrencyLimiter::new(5);
    let (inside, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..50)
        .map(|task| {
            let (limiter, inside, peak) = (limiter.clone(), Arc::clone(&inside), Arc::clone(&peak));
            tokio::spawn(async move {
                for _ in 0..100 {
                    let permit = limiter.acquire_many(1 + task % 3).await;
                    let now = inside.fetch_add(permit.count(), SeqCst) + permit.count();
                    peak.fetch_max(now, SeqCst);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(permit.count(), SeqCst);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(peak.load(SeqCst) <= 5);
    assert_eq!(usage(&limiter), (5, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_is_always_ready_lets_other_tasks_run() {
    let limiter = ConcurrencyLimiter::new(1);
    let turns = Arc::new(AtomicUsize::new(0));
    let other = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move {
            loop {
                turns.fetch_add(1, SeqCst);
                tokio::task::yield_now().await;
            }
        }
    });
    tokio::spawn(async move {
        for _ in 0..100_000 {
            drop(limiter.acquire().await);
        }
    })
    .await
    .unwrap();
    assert!(turns.load(SeqCst) > 40);
    other.abort();
}

/// `try_acquire` must not fail because the cooperative budget is spent, only because no permit is free.
#[tokio::test]
async fn a_million_tries_never_fail_without_reason() {
    let limiter = ConcurrencyLimiter::new(1);
    let refused = (0..1_000_000).filter(|_| limiter.try_acquire().is_none()).count();
    assert_eq!(refused, 0);
}

#[tokio::test]
#[should_panic(expected = "polled after it was ready")]
async fn polling_again_after_ready_panics() {
    let limiter = ConcurrencyLimiter::new(1);
    let mut acquire = pin!(limiter.acquire());
    assert!(poll_once(acquire.as_mut()).is_ready());
    let _ = poll_once(acquire.as_mut());
}

#[tokio::test(start_paused = true)]
async fn waiters_are_served_in_order() {
    let limiter = ConcurrencyLimiter::new(2);
    let order = Arc::new(Mutex::new(Vec::new()));
    join_all((0..50).map(|id| {
        let (limiter, order) = (&limiter, Arc::clone(&order));
        async move {
            let _permit = limiter.acquire().await;
            order.lock().unwrap().push(id);
            tokio::time::sleep(ms(5 + id % 7)).await;
        }
    }))
    .await;
    assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
}

/// A model of the semaphore: a list of waiting requests and the sum of the held permits.
#[derive(Debug, Default)]
struct Model {
    limit: usize,
    in_use: usize,
    waiting: Vec<(usize, usize)>,
    inside: Vec<(usize, usize)>,
}

impl Model {
    fn serve(&mut self) {
        while let Some(&(id, count)) = self.waiting.first() {
            let alone = self.in_use == 0 && self.limit > 0;
            if self.in_use + count > self.limit && !alone {
                return;
            }
            self.in_use += count;
            self.inside.push((id, count));
            self.waiting.remove(0);
        }
    }

    fn remove(&mut self, id: usize) {
        self.waiting.retain(|&(other, _)| other != id);
        let in_use = &mut self.in_use;
        self.inside.retain(|&(other, count)| {
            if other == id {
                *in_use -= count;
            }
            other != id
        });
        self.serve();
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Ask(usize),
    Remove(usize),
    Resize(usize),
    Look(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_usize..6).prop_map(Step::Ask),
        3 => (0_usize..8).prop_map(Step::Remove),
        1 => (0_usize..6).prop_map(Step::Resize),
        2 => (0_usize..8).prop_map(Step::Look),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Random acquires, drops, releases and resizes behave as the model does, whether or not a waiter that was given its
    /// permits has been polled.
    #[test]
    fn equals_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let limiter = ConcurrencyLimiter::new(3);
        let mut model = Model { limit: 3, ..Model::default() };
        let mut handles = Vec::new();
        for (id, step) in steps.into_iter().enumerate() {
            match step {
                Step::Ask(count) => {
                    let mut future = Box::pin(limiter.acquire_many(count));
                    let permit = match poll_once(future.as_mut()) {
                        Poll::Ready(permit) => Some(permit),
                        Poll::Pending => None,
                    };
                    handles.push((id, permit, future));
                    model.waiting.push((id, count));
                    model.serve();
                }
                Step::Remove(nth) if nth < handles.len() => {
                    let (id, permit, future) = handles.remove(nth);
                    drop((permit, future));
                    model.remove(id);
                }
                Step::Look(nth) if nth < handles.len() => {
                    let (id, permit, future) = &mut handles[nth];
                    if permit.is_none() && let Poll::Ready(got) = poll_once(future.as_mut()) {
                        *permit = Some(got);
                    }
                    let inside = model.inside.iter().any(|(other, _)| other == id);
                    prop_assert_eq!(permit.is_some(), inside);
                }
                Step::Resize(limit) => {
                    limiter.resize(limit);
                    model.limit = limit;
                    model.serve();
                }
                Step::Remove(_) | Step::Look(_) => {}
            }
            let free = model.limit.saturating_sub(model.in_use);
            prop_assert_eq!(usage(&limiter), (free, model.in_use, model.waiting.len()));
        }
        drop(handles);
        prop_assert_eq!(usage(&limiter), (limiter.limit(), 0, 0));
    }
}
