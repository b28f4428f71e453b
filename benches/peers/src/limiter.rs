//! Limits: a permit, a unit of a rate, both at once, and permits that are fought for.

use std::{future::Future, hint::black_box, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{Quota, RateLimiter as Governor};
use outbound_limiter::{ConcurrencyLimiter, Cost, QuotaLimiter, Rate, RateLimiter};
use tokio::{
    runtime::Builder,
    sync::Semaphore,
    task::{JoinSet, yield_now},
    time::Instant,
};
use tower::{Service, ServiceExt, limit::ConcurrencyLimit, limit::RateLimit, util::service_fn};

use crate::case::{Case, Group, Kind, runtime};

/// Nobody has to wait for one.
const PERMITS: usize = 8;
/// Practically without limit.
const PER_SECOND: u32 = 1_000_000_000;

const TASKS: u64 = 64;

pub(crate) fn groups() -> Vec<Group> {
    vec![
        Group {
            name: "limiter/permit",
            about: "A permit is taken and given back, nobody waiting; awaited in a task.",
            rounds: 2_000,
            is_counted: false,
            cases: permits(),
        },
        Group {
            name: "limiter/rate",
            about: "One unit of a rate that is practically without limit; awaited in a task. governor reads the \
                    processor's counter, as it does unless told otherwise; all others read the clock of the system.",
            rounds: 2_000,
            is_counted: false,
            cases: rates(),
        },
        Group {
            name: "limiter/permit and rate",
            about: "A permit and a unit of a rate. Ours takes both at once or waits for both; the pair takes one, then \
                    the other, and holds the first while it waits for the second.",
            rounds: 2_000,
            is_counted: false,
            cases: both(),
        },
        Group {
            name: "limiter/contended",
            about: "64 tasks on two threads want 8 permits, and hold each over one yield; for one permit.",
            rounds: 6_400,
            is_counted: false,
            cases: contended(),
        },
    ]
}

fn permits() -> Vec<Case> {
    let limiter = ConcurrencyLimiter::new(PERMITS);
    let size = size_of_val(&limiter.acquire());
    let semaphore = Semaphore::new(PERMITS);
    let [tokio_size, lock_size] =
        [size_of_val(&semaphore.acquire()), size_of_val(&async_lock::Semaphore::new(PERMITS).acquire())];
    vec![
        in_task("outbound", size, async |rounds| {
            let limiter = ConcurrencyLimiter::new(PERMITS);
            for _ in 0..rounds {
                drop(black_box(limiter.acquire().await));
            }
        })
        .ours(),
        in_task("tokio Semaphore", tokio_size, async |rounds| {
            let semaphore = Semaphore::new(PERMITS);
            for _ in 0..rounds {
                drop(black_box(semaphore.acquire().await.expect("it is open")));
            }
        }),
        in_task("async-lock Semaphore", lock_size, async |rounds| {
            let semaphore = async_lock::Semaphore::new(PERMITS);
            for _ in 0..rounds {
                drop(black_box(semaphore.acquire().await));
            }
        }),
        in_task("tower ConcurrencyLimit", 0, async |rounds| {
            let service = service_fn(|()| std::future::ready(Ok::<_, tower::BoxError>(black_box(1))));
            let mut service = ConcurrencyLimit::new(service, PERMITS);
            for _ in 0..rounds {
                assert_eq!(service.ready().await.expect("ready").call(()).await.expect("a reply"), 1);
            }
        }),
        in_task("an atomic counter", 0, async |rounds| {
            use std::sync::atomic::{AtomicUsize, Ordering};
            let free = AtomicUsize::new(PERMITS);
            for _ in 0..rounds {
                let taken =
                    free.fetch_update(Ordering::Acquire, Ordering::Relaxed, |free| free.checked_sub(1));
                assert!(black_box(taken).is_ok());
                free.fetch_add(1, Ordering::Release);
            }
        })
        .floor(),
    ]
}

fn rates() -> Vec<Case> {
    vec![
        in_task("outbound", size_of_val(&rate().acquire(1)), async |rounds| {
            let limiter = rate();
            for _ in 0..rounds {
                limiter.acquire(1).await;
            }
        })
        .ours(),
        in_task("governor", size_of_val(&governor().until_ready()), async |rounds| {
            let limiter = governor();
            for _ in 0..rounds {
                limiter.until_ready().await;
            }
        }),
        in_task("leaky-bucket", 0, async |rounds| {
            let full = usize::MAX / 4;
            let limiter =
                leaky_bucket::RateLimiter::builder().max(full).initial(full).refill(1_000_000).build();
            for _ in 0..rounds {
                limiter.acquire_one().await;
            }
        }),
        in_task("tower RateLimit", 0, async |rounds| {
            let service = service_fn(|()| std::future::ready(Ok::<_, tower::BoxError>(black_box(1))));
            let unlimited = tower::limit::rate::Rate::new(u64::MAX, Duration::from_secs(60));
            let mut service = RateLimit::new(service, unlimited);
            for _ in 0..rounds {
                assert_eq!(service.ready().await.expect("ready").call(()).await.expect("a reply"), 1);
            }
        }),
        in_task("a reading of the clock", 0, async |rounds| {
            for _ in 0..rounds {
                black_box(Instant::now());
            }
        })
        .floor(),
    ]
}

fn both() -> Vec<Case> {
    vec![
        in_task("outbound QuotaLimiter", 0, async |rounds| {
            let builder = QuotaLimiter::builder().requests_per_minute(1 << 40).max_concurrent(PERMITS);
            let limiter = builder.build().expect("limits above 0");
            for _ in 0..rounds {
                let reservation = limiter.reserve(Cost::request()).await.expect("there is room");
                reservation.sent().keep_estimate();
            }
        })
        .ours(),
        in_task("governor, tokio Semaphore", 0, async |rounds| {
            let (limiter, semaphore) = (governor(), Semaphore::new(PERMITS));
            for _ in 0..rounds {
                let permit = semaphore.acquire().await.expect("it is open");
                limiter.until_ready().await;
                drop(black_box(permit));
            }
        }),
        in_task("governor, async-lock Semaphore", 0, async |rounds| {
            let (limiter, semaphore) = (governor(), async_lock::Semaphore::new(PERMITS));
            for _ in 0..rounds {
                let permit = semaphore.acquire().await;
                limiter.until_ready().await;
                drop(black_box(permit));
            }
        }),
    ]
}

fn contended() -> Vec<Case> {
    vec![
        fought_for(
            "outbound",
            || ConcurrencyLimiter::new(PERMITS),
            |limiter| async move {
                let permit = limiter.acquire().await;
                yield_now().await;
                drop(permit);
            },
        )
        .ours(),
        fought_for(
            "tokio Semaphore",
            || Arc::new(Semaphore::new(PERMITS)),
            |semaphore| async move {
                let permit = semaphore.acquire().await.expect("it is open");
                yield_now().await;
                drop(permit);
            },
        ),
        fought_for(
            "async-lock Semaphore",
            || Arc::new(async_lock::Semaphore::new(PERMITS)),
            |semaphore| async move {
                let permit = semaphore.acquire().await;
                yield_now().await;
                drop(permit);
            },
        ),
        fought_for("no limit, the yield alone", || (), |()| yield_now()).floor(),
    ]
}

fn rate() -> RateLimiter {
    RateLimiter::new(Rate::per_second(1 << 40))
}

fn governor() -> governor::DefaultDirectRateLimiter {
    Governor::direct(Quota::per_second(NonZeroU32::new(PER_SECOND).expect("not 0")))
}

/// A case that does its rounds in a task, whose cooperative budget is renewed now and then.
fn in_task<F>(name: &'static str, size: usize, run: F) -> Case
where
    F: AsyncFn(u64) + Copy + 'static,
{
    let run = move |rounds| {
        let local = tokio::task::LocalSet::new();
        let task = local.run_until(async move {
            let task = tokio::task::spawn_local(async move {
                let started = Instant::now();
                run(rounds).await;
                started.elapsed()
            });
            task.await.expect("no panic")
        });
        runtime().block_on(task)
    };
    Case { name, kind: Kind::Peer, size, run: Box::new(run) }
}

/// A case of many tasks on two threads, each of which takes its share of the turns.
fn fought_for<L, F>(
    name: &'static str,
    limiter: impl Fn() -> L + 'static,
    turn: impl Fn(L) -> F + Copy + Send + Sync + 'static,
) -> Case
where
    L: Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let run = move |rounds: u64| {
        let runtime = Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
        let limiter = limiter();
        runtime.block_on(async move {
            let started = Instant::now();
            let task = |limiter: L| async move {
                for _ in 0..rounds / TASKS {
                    turn(limiter.clone()).await;
                }
            };
            let tasks: JoinSet<()> = (0..TASKS).map(|_| task(limiter.clone())).collect();
            assert_eq!(tasks.join_all().await.len() as u64, TASKS);
            started.elapsed()
        })
    };
    Case { name, kind: Kind::Peer, size: 0, run: Box::new(run) }
}
