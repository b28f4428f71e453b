//! The time of single operations, nobody waiting, beside their peers.

use std::{future::ready, hint::black_box, num::NonZeroU32};

use criterion::Criterion;
use governor::{Quota, RateLimiter as Governor};
use outbound_limiter::{ConcurrencyLimiter, Cost, QuotaLimiter, Rate, RateLimiter};
use tokio::{sync::Semaphore, time::Instant};
use tower::{BoxError, Service, ServiceExt, limit::ConcurrencyLimit, util::service_fn};

/// Practically unlimited.
const PER_SECOND: u32 = 1_000_000_000;

pub(super) fn measure() {
    println!(
        "limiter: a permit, a unit of a rate, a quota; nobody waits; ours beside tokio, async-lock, tower, governor"
    );
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    permits(&mut criterion);
    rates(&mut criterion);
    quotas(&mut criterion);
    criterion.final_summary();
}

fn permits(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut group = criterion.benchmark_group("limiter/permit");
    let limiter = ConcurrencyLimiter::new(8);
    group.bench_function("outbound", |bencher| {
        bencher.to_async(&runtime).iter(async || drop(black_box(limiter.acquire().await)));
    });
    let semaphore = Semaphore::new(8);
    group.bench_function("tokio", |bencher| {
        bencher.to_async(&runtime).iter(async || drop(black_box(semaphore.acquire().await)));
    });
    let semaphore = async_lock::Semaphore::new(8);
    group.bench_function("async-lock", |bencher| {
        bencher.to_async(&runtime).iter(async || drop(black_box(semaphore.acquire().await)));
    });
    let mut service = ConcurrencyLimit::new(service_fn(|()| ready(Ok::<_, BoxError>(()))), 8);
    group.bench_function("tower", |bencher| {
        bencher.iter(|| {
            let called = runtime.block_on(async { service.ready().await?.call(()).await });
            assert!(called.is_ok());
        });
    });
    group.finish();
}

fn rates(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limiter/rate, one unit");
    let limiter = RateLimiter::new(Rate::per_second(PER_SECOND.into()));
    group.bench_function("outbound, reading the clock", |bencher| {
        bencher.iter(|| limiter.try_acquire_at(1, Instant::now()));
    });
    let now = Instant::now();
    let limiter = RateLimiter::new(Rate::per_second(u64::MAX));
    group.bench_function("outbound, told the time", |bencher| {
        bencher.iter(|| limiter.try_acquire_at(1, black_box(now)));
    });
    let governor = Governor::direct(Quota::per_second(NonZeroU32::new(PER_SECOND).expect("not 0")));
    group.bench_function("governor", |bencher| bencher.iter(|| governor.check()));
    group.finish();
}

fn quotas(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limiter/quota of three dimensions: reserve, send, settle");
    let builder = QuotaLimiter::builder().requests_per_minute(1 << 60).input_tokens_per_minute(1 << 60);
    let quota = builder.output_tokens_per_minute(1 << 60).max_concurrent(64).build().expect("limits above 0");
    let estimate = Cost::request().input_tokens(800).output_tokens(400);
    let actual = estimate.output_tokens(97);
    group.bench_function("outbound, told the time", |bencher| {
        let now = Instant::now();
        bencher.iter(|| quota.try_reserve_at(estimate, now).map(|one| one.sent_at(now).settle(actual)));
    });
    group.bench_function("outbound, reading the clock", |bencher| {
        bencher.iter(|| quota.try_reserve_at(estimate, Instant::now()).map(|one| one.sent().settle(actual)));
    });
    group.finish();
}
