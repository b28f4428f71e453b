//! Instructions for one operation, as callgrind counts them, and its allocations, against the gates.

use std::{
    future::Future,
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use outbound_instructions::callgrind::{self, ROUNDS};
use outbound_limiter::{ConcurrencyLimiter, Cost, QuotaLimiter, Rate, RateLimiter};
use tokio::{
    task::{JoinHandle, LocalSet, yield_now},
    time::Instant,
};

/// A case; how many instructions it may take, and how many it should (what it may take is what it takes today, where that
/// is more); and what it does. None of those with a limit may allocate.
type Case = (&'static str, Option<(f64, f64)>, fn(u64));

const COST: Cost = Cost::request().input_tokens(800).output_tokens(400);
const ACTUAL: Cost = Cost::request().input_tokens(790).output_tokens(97);

const CASES: &[Case] = &[
    ("permit, awaited in a task", Some((60.0, 60.0)), |rounds| {
        let limiter = ConcurrencyLimiter::new(8);
        // In a task, whose cooperative budget is renewed now and then.
        block_on(async move {
            for _ in 0..rounds {
                drop(black_box(limiter.acquire().await));
            }
        });
    }),
    ("permit, polled", Some((60.0, 60.0)), |rounds| {
        let limiter = ConcurrencyLimiter::new(8);
        each(rounds, |_| drop(black_box(ready(limiter.acquire()))));
    }),
    ("permit, tried", None, |rounds| {
        let limiter = ConcurrencyLimiter::new(8);
        each(rounds, |_| drop(black_box(limiter.try_acquire())));
    }),
    ("permit of tokio's, awaited in a task", None, |rounds| {
        let limiter = tokio::sync::Semaphore::new(8);
        block_on(async move {
            for _ in 0..rounds {
                drop(black_box(limiter.acquire().await));
            }
        });
    }),
    // Most of it is tasks, wakes and yields; the aim is nine tenths of the same with tokio's.
    ("permit, fought for by 64 tasks", Some((1_243.0, 1_243.0)), |rounds| {
        let limiter = ConcurrencyLimiter::new(8);
        fought_for(rounds, move || {
            let limiter = limiter.clone();
            async move {
                let permit = limiter.acquire().await;
                yield_now().await;
                drop(permit);
            }
        });
    }),
    ("permit of tokio's, fought for by 64 tasks", None, |rounds| {
        let limiter = Arc::new(tokio::sync::Semaphore::new(8));
        fought_for(rounds, move || {
            let limiter = Arc::clone(&limiter);
            async move {
                let permit = limiter.acquire().await;
                yield_now().await;
                drop(permit);
            }
        });
    }),
    ("rate, same instant", Some((42.0, 42.0)), |rounds| {
        let limiter = RateLimiter::new(Rate::per_second(1 << 40));
        let now = Instant::now();
        each(rounds, |_| assert!(black_box(limiter.try_acquire_at(1, black_box(now))).is_ok()));
    }),
    ("rate, time passing", Some((73.0, 73.0)), |rounds| {
        let limiter = RateLimiter::new(Rate::per_second(1 << 40));
        let mut now = Instant::now();
        each(rounds, |_| {
            now += Duration::from_nanos(100);
            assert!(black_box(limiter.try_acquire_at(1, black_box(now))).is_ok());
        });
    }),
    // It is not full, so that instants have to be subtracted.
    ("rate, time passing, nearly empty", Some((190.0, 190.0)), |rounds| {
        let limiter = RateLimiter::new(Rate::per_second(1 << 40));
        let mut now = Instant::now();
        limiter.try_acquire_at((1 << 40) - 1, now).expect("the bucket is full");
        each(rounds, |_| {
            now += Duration::from_nanos(100);
            assert!(black_box(limiter.try_acquire_at(1, black_box(now))).is_ok());
        });
    }),
    // A reading of the clock is a third of it.
    ("rate, awaited in a task", Some((135.0, 130.0)), |rounds| {
        let limiter = RateLimiter::new(Rate::per_second(1 << 40));
        block_on(async move {
            for _ in 0..rounds {
                limiter.acquire(1).await;
            }
        });
    }),
    ("rate refused", None, |rounds| {
        let limiter = RateLimiter::new(Rate::per_hour(1));
        let now = Instant::now();
        limiter.try_acquire_at(1, now).expect("the bucket is full");
        each(rounds, |_| assert!(black_box(limiter.try_acquire_at(1, black_box(now))).is_err()));
    }),
    ("the passing of time", None, |rounds| {
        let mut now = Instant::now();
        each(rounds, |_| {
            now += Duration::from_nanos(100);
            black_box(now);
        });
    }),
    // A quarter of it moves costs, of 64 bytes each, and adds them up; a quarter walks the meters, twice; then come three locks.
    ("quota, reserved, sent, settled", Some((250.0, 250.0)), |rounds| {
        let quota = quota();
        let now = Instant::now();
        each(rounds, |_| {
            let reservation = quota.try_reserve_at(COST, black_box(now)).expect("there is room");
            black_box(reservation).sent_at(now).settle(ACTUAL);
        });
    }),
    ("quota, the same on three levels", None, |rounds| {
        let endpoint = QuotaLimiter::builder().max_concurrent(64).build().expect("a limit above 0");
        let account = QuotaLimiter::builder().under(&endpoint).build().expect("no limits");
        let builder = QuotaLimiter::builder().under(&account).requests_per_minute(1 << 40);
        let builder = builder.input_tokens_per_minute(1 << 50).output_tokens_per_minute(1 << 50);
        let quota = builder.build().expect("limits above 0");
        let now = Instant::now();
        each(rounds, |_| {
            let reservation = quota.try_reserve_at(COST, black_box(now)).expect("there is room");
            black_box(reservation).sent_at(now).settle(ACTUAL);
        });
    }),
    ("quota, time passing", Some((428.0, 428.0)), |rounds| {
        let quota = quota();
        let mut now = Instant::now();
        each(rounds, |_| {
            now += Duration::from_millis(1);
            let reservation = quota.try_reserve_at(COST, black_box(now)).expect("there is room");
            black_box(reservation).sent_at(now).settle(ACTUAL);
        });
    }),
    ("quota, reading the clock", None, |rounds| {
        let quota = quota();
        each(rounds, |_| {
            let reservation = quota.try_reserve_at(COST, Instant::now()).expect("there is room");
            black_box(reservation).sent().settle(ACTUAL);
        });
    }),
    ("a reading of the clock", None, |rounds| each(rounds, |_| _ = black_box(Instant::now()))),
];

fn quota() -> QuotaLimiter {
    let builder = QuotaLimiter::builder().requests_per_minute(1 << 40).input_tokens_per_minute(1 << 50);
    builder.output_tokens_per_minute(1 << 50).max_concurrent(64).build().expect("limits above 0")
}

pub(super) fn gates() -> bool {
    if !callgrind::is_installed() {
        println!("valgrind is not installed: instruction gates skipped");
        return true;
    }
    let mut held = true;
    println!("instructions  allocations  limit    aim  operation");
    for (name, limit, run) in CASES {
        let instructions = callgrind::per_round(name, ROUNDS);
        // The first of all rounds may make room that is then kept.
        run(5_000);
        let allocations = allocations(*run, 60_000) - allocations(*run, 30_000);
        let kept = limit.is_none_or(|(limit, _)| instructions <= limit && allocations == 0);
        held &= kept;
        let (limit, aim) = limit.unzip();
        let text = |limit: Option<f64>| limit.map_or_else(|| "-".to_owned(), |limit| limit.to_string());
        let mark = if kept { "" } else { "  BROKEN" };
        println!(
            "{instructions:>12.1}  {allocations:>11}  {:>5}  {:>5}  {name}{mark}",
            text(limit),
            text(aim)
        );
    }
    held
}

pub(super) fn run(wanted: &str, rounds: u64) {
    let (.., run) = CASES.iter().find(|(name, ..)| *name == wanted).expect("a case");
    run(rounds);
}

fn allocations(run: fn(u64), rounds: u64) -> u64 {
    allocation_counter::measure(|| run(rounds)).count_total
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future);
}

/// Turns of 64 tasks on one thread, so that the count is the same each time.
fn fought_for<F: Future<Output = ()> + 'static>(rounds: u64, turn: impl Fn() -> F + Clone + 'static) {
    block_on(async move {
        let tasks = (0..64).map(|_| {
            let turn = turn.clone();
            async move {
                for _ in 0..rounds / 64 {
                    turn().await;
                }
            }
        });
        let local = LocalSet::new();
        let tasks: Vec<_> = tasks.map(|task| local.spawn_local(task)).collect();
        local.await;
        assert!(tasks.iter().all(JoinHandle::is_finished));
    });
}

#[inline(always)]
fn each(rounds: u64, mut round: impl FnMut(u64)) {
    for number in 0..rounds {
        round(number);
    }
}

#[inline(always)]
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it has to wait"),
    }
}
