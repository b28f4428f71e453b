//! One limiter for each key, and when a limiter is forgotten.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use outbound_limiter::{ConcurrencyLimiter, Cost, Keyed, QuotaLimiter, Rate, RateLimiter};
use tokio::time::advance;

use crate::support::{at, ms, poll_once, s, settle};

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_quota() {
    let keyed = Keyed::new(|key: &String| RateLimiter::new(Rate::per_second(key.len() as u64)));
    assert!(keyed.is_empty());
    keyed.get("four").acquire(4).await;
    assert_eq!((keyed.get("four").available(), keyed.get("sixsix").available()), (0, 6));
    assert_eq!(keyed.clone().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_debt_is_not_forgotten() {
    let keyed = Keyed::new(|_: &u32| RateLimiter::new(Rate::per_second(1)));
    keyed.get(&7).acquire(1).await;
    assert_eq!(keyed.forget_idle(), 0);
    advance(ms(999)).await;
    assert_eq!((keyed.forget_idle(), keyed.get(&7).available()), (0, 0));
    advance(ms(1)).await;
    assert_eq!((keyed.forget_idle(), keyed.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_not_forgotten() {
    let keyed = Keyed::new(|_: &u32| ConcurrencyLimiter::new(1));
    let permit = keyed.get(&7).try_acquire_owned().unwrap();
    assert_eq!(keyed.forget_idle(), 0);
    assert!(keyed.get(&7).try_acquire().is_none());
    drop(permit);
    assert_eq!(keyed.forget_idle(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_not_forgotten() {
    let keyed = Keyed::new(|_: &u32| ConcurrencyLimiter::new(0));
    let mut waiter = Box::pin(keyed.get(&7).acquire_owned());
    assert!(poll_once(waiter.as_mut()).is_pending());
    assert_eq!(keyed.forget_idle(), 0);
    keyed.get(&7).resize(1);
    let permit = waiter.await;
    assert_eq!(keyed.forget_idle(), 0);
    drop(permit);
    assert_eq!(keyed.forget_idle(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handle_keeps_its_limiter() {
    let keyed = Keyed::new(|_: &u32| ConcurrencyLimiter::new(1));
    let handle = keyed.get(&7);
    assert_eq!(keyed.forget_idle(), 0);
    let _permit = handle.acquire().await;
    assert!(keyed.get(&7).try_acquire().is_none(), "it is the same limiter");
}

#[tokio::test(start_paused = true)]
async fn a_key_is_given_by_value_or_borrowed() {
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    enum Model {
        Large,
    }
    let one = || ConcurrencyLimiter::new(1);
    let (models, names) = (Keyed::new(move |_: &Model| one()), Keyed::new(move |_: &&str| one()));
    let (hosts, pairs) = (Keyed::new(move |_: &String| one()), Keyed::new(move |_: &(String, u64)| one()));
    let (host, pair) = ("a.example".to_owned(), ("a".to_owned(), 7));
    let taken = (models.get(Model::Large), names.get("a"), hosts.get("a.example"), pairs.get(&pair));
    let permits =
        (taken.0.acquire().await, taken.1.acquire().await, taken.2.acquire().await, taken.3.acquire().await);
    assert!(models.get(&Model::Large).try_acquire().is_none());
    assert!(names.get(&"a").try_acquire().is_none());
    assert!(hosts.get(&host).try_acquire().is_none() && hosts.get(host).try_acquire().is_none());
    assert!(pairs.get(pair).try_acquire().is_none());
    drop(permits);
}

#[tokio::test(start_paused = true)]
async fn only_idle_quotas_are_forgotten() {
    let keyed = Keyed::new(|_: &u32| {
        QuotaLimiter::builder().requests_per_minute(60).max_concurrent(2).build().expect("limits above 0")
    });
    let charge = keyed.get(&7).reserve(Cost::request()).await.unwrap().sent();
    advance(s(5)).await;
    assert_eq!(keyed.forget_idle(), 0, "a slot is in use");
    drop(charge);
    assert_eq!(keyed.forget_idle(), 1);
    let now = tokio::time::Instant::now();
    keyed.get(&7).close_gate_until(now, now + s(9));
    assert_eq!(keyed.forget_idle(), 0, "the gate is closed");
}

/// A common limit behind the limits of the keys is served in the order of arrival. Only requests of a busy key that came
/// before go ahead of a quiet key.
#[tokio::test(start_paused = true)]
async fn a_quiet_key_under_a_common_limit_waits_for_those_ahead_of_it_only() {
    let keyed = Keyed::new(|_: &u32| ConcurrencyLimiter::new(4));
    let common = ConcurrencyLimiter::new(2);
    let start = tokio::time::Instant::now();
    let call = |key: u32| {
        let (own, common) = (keyed.get(&key), common.clone());
        async move {
            let _own = own.acquire_owned().await;
            let _permit = common.acquire_owned().await;
            tokio::time::sleep(s(1)).await;
            at(start)
        }
    };
    let busy: Vec<_> = (0..20).map(|_| tokio::spawn(call(1))).collect();
    settle().await;
    assert_eq!(common.waiting(), 2, "a key has no more requests there than its own limit");
    // Two are running and two are ahead of it. The other sixteen are not.
    assert_eq!(tokio::spawn(call(2)).await.unwrap(), 3_000);
    for task in busy {
        task.await.unwrap();
    }
    assert_eq!(at(start), 11_000);
}

#[test]
fn limiters_of_keys_that_come_and_go_are_forgotten() {
    let keyed = Keyed::new(|_: &u32| ConcurrencyLimiter::new(1));
    let busy = keyed.get(&0);
    for key in 1..100_000 {
        drop(keyed.get(&key));
        assert!(keyed.len() <= 64);
    }
    assert!(!keyed.is_empty());
    let _permit = busy.try_acquire().unwrap();
    assert!(keyed.get(&0).try_acquire().is_none());
}

/// If a limiter were forgotten while its permit is held, two threads would hold a permit at once.
#[test]
fn forgetting_races_taking() {
    let keyed = Keyed::new(|_: &u32| ConcurrencyLimiter::new(1));
    let inside: Arc<[AtomicBool; 2]> = Arc::default();
    std::thread::scope(|scope| {
        for thread in 0..3_usize {
            let (keyed, inside) = (keyed.clone(), Arc::clone(&inside));
            scope.spawn(move || {
                for turn in 0..20_000_usize {
                    let key = (turn + thread) % 2;
                    if let Some(_permit) = keyed.get(&(key as u32)).try_acquire_owned() {
                        assert!(!inside[key].swap(true, SeqCst), "two threads hold the one permit");
                        inside[key].store(false, SeqCst);
                    }
                    if turn % 3 == thread {
                        keyed.forget_idle();
                    }
                }
            });
        }
    });
}
