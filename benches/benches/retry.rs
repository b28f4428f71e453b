//! Retries that wait for nothing: ours beside backon and tokio-retry.

use std::{
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use backon::{ConstantBuilder, Retryable};
use criterion::{Criterion, criterion_group, criterion_main};
use outbound_retry::{Budget, Retry, Wait};

const POLICY: Retry = Retry::attempts(3).wait(Wait::none());

fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Succeeds at the attempt with this number.
fn attempt(number: u32, succeeds: u32) -> Ready<Result<u32, ()>> {
    ready(if number >= black_box(succeeds) { Ok(number) } else { Err(()) })
}

fn retries(criterion: &mut Criterion) {
    let backon = ConstantBuilder::new().with_delay(Duration::ZERO).with_max_times(2);
    let budget = Budget::percent(300).max(u32::MAX);
    for (name, succeeds) in [("retry/first-attempt", 1), ("retry/two-failures", 3)] {
        let mut group = criterion.benchmark_group(name);
        group.bench_function("bare-loop", |b| {
            b.iter(|| {
                let looped = async {
                    let mut number = 1;
                    loop {
                        match attempt(number, succeeds).await {
                            Err(()) if number < 3 => number += 1,
                            result => break result,
                        }
                    }
                };
                assert_eq!(poll(looped), Poll::Ready(Ok(succeeds)));
            });
        });
        group.bench_function("outbound", |b| {
            b.iter(|| {
                assert_eq!(poll(POLICY.call(|n| attempt(n.number(), succeeds))), Poll::Ready(Ok(succeeds)));
            });
        });
        group.bench_function("outbound-budget", |b| {
            b.iter(|| {
                let call = POLICY.budget(&budget).call(|n| attempt(n.number(), succeeds));
                assert_eq!(poll(call), Poll::Ready(Ok(succeeds)));
            });
        });
        group.bench_function("backon", |b| {
            b.iter(|| {
                let mut number = 0;
                let operation = || {
                    number += 1;
                    attempt(number, succeeds)
                };
                assert_eq!(poll(operation.retry(backon).sleep(|_| ready(()))), Poll::Ready(Ok(succeeds)));
            });
        });
        // tokio-retry always sleeps on tokio's timer, for a tick where the delay is zero: only success compares.
        if succeeds == 1 {
            group.bench_function("tokio-retry", |b| {
                b.iter(|| {
                    let retry = tokio_retry::Retry::start([Duration::ZERO; 2], || attempt(1, succeeds));
                    assert_eq!(poll(retry), Poll::Ready(Ok(succeeds)));
                });
            });
        }
        group.finish();
    }
}

fn budget(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retry/budget");
    let open = Budget::percent(100).reserve(0).max(u32::MAX);
    group.bench_function("deposit-and-withdraw", |b| {
        b.iter(|| {
            open.deposit();
            assert!(open.try_withdraw());
        });
    });
    let full = Budget::percent(10).reserve(100);
    group.bench_function("deposit-full", |b| b.iter(|| full.deposit()));
    assert_eq!(full.available(), 100);
    group.finish();
}

/// Says what is measured, before it is.
fn about(_: &mut Criterion) {
    println!(
        "retry: up to three attempts, no delay between them; ours beside a loop by hand, backon and tokio-retry"
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots().measurement_time(Duration::from_secs(3));
    targets = about, retries, budget
}
criterion_main!(benches);
