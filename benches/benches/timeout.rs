//! A timeout that does not fire: ours beside tokio's.

use std::{
    future::{Future, pending, ready},
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use outbound_timeout::{StreamLimits, StreamTimeoutExt, TimeoutExt, timeout};
use tokio::runtime::Runtime;
use tower::{BoxError, Service, timeout::Timeout, util::service_fn};

const LIMIT: Duration = Duration::from_secs(30);

fn ready_at_once(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timeout/ready");
    let _inside = armed();
    let mut cx = Context::from_waker(Waker::noop());
    group.bench_function("bare", |b| {
        b.iter(|| assert_eq!(pin!(black_box(ready(1))).poll(&mut cx), Poll::Ready(1)));
    });
    group.bench_function("tokio", |b| {
        b.iter(|| assert!(pin!(tokio::time::timeout(LIMIT, black_box(ready(1)))).poll(&mut cx).is_ready()));
    });
    group.bench_function("tower", |b| {
        let service = service_fn(|()| black_box(ready(Ok::<_, BoxError>(1))));
        let mut service = Timeout::new(service, LIMIT);
        b.iter(|| assert!(pin!(service.call(())).poll(&mut cx).is_ready()));
    });
    group.bench_function("outbound", |b| {
        b.iter(|| assert_eq!(pin!(timeout(LIMIT, black_box(ready(1)))).poll(&mut cx), Poll::Ready(Ok(1))));
    });
    group.finish();
}

fn pending_once(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timeout/pending-once");
    let _inside = armed();
    twice(&mut group, "tokio", || tokio::time::timeout(LIMIT, Once(false)));
    twice(&mut group, "tokio-two", || {
        tokio::time::timeout(2 * LIMIT, tokio::time::timeout(LIMIT, Once(false)))
    });
    twice(&mut group, "outbound", || timeout(LIMIT, Once(false)));
    let deadline = tokio::time::Instant::now() + 3 * LIMIT;
    twice(&mut group, "outbound-four", || {
        Once(false).timeout(LIMIT).deadline(deadline).timeout(2 * LIMIT).deadline(deadline + LIMIT)
    });
    group.finish();
}

fn twice<F: Future>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut make: impl FnMut() -> F) {
    let mut cx = Context::from_waker(Waker::noop());
    group.bench_function(name, |b| {
        b.iter(|| {
            let mut future = pin!(make());
            assert!(future.as_mut().poll(&mut cx).is_pending());
            assert!(future.as_mut().poll(&mut cx).is_ready());
        });
    });
}

fn ten_thousand_pending(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timeout/10k-pending");
    let _inside = armed();
    many(&mut group, "tokio", || tokio::time::timeout(LIMIT, pending::<()>()));
    many(&mut group, "outbound", || timeout(LIMIT, pending::<()>()));
    group.finish();
}

/// Makes, polls and drops them, in slots that are there already; the time is that of all of them.
fn many<F: Future>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut make: impl FnMut() -> F) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut slots: Vec<Pin<Box<Option<F>>>> = (0..10_000).map(|_| Box::pin(None)).collect();
    group.bench_function(name, |b| {
        b.iter(|| {
            for slot in &mut slots {
                slot.set(Some(make()));
                let future = slot.as_mut().as_pin_mut().expect("just set");
                assert!(future.poll(&mut cx).is_pending());
            }
            for slot in &mut slots {
                slot.set(None);
            }
        });
    });
}

fn stream_item(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timeout/stream");
    let _inside = armed();
    let mut cx = Context::from_waker(Waker::noop());
    let limits = StreamLimits::new().total(20 * LIMIT).first_item(2 * LIMIT).idle(LIMIT);
    let mut items = pin!(Alternate(false).limits(limits));
    group.bench_function("wait-and-item", |b| {
        b.iter(|| {
            assert!(futures::Stream::poll_next(items.as_mut(), &mut cx).is_pending());
            assert!(futures::Stream::poll_next(items.as_mut(), &mut cx).is_ready());
        });
    });
    group.finish();
}

/// Inside a runtime that has an earlier timer armed, as a busy service has: arming the earliest one costs tokio a system
/// call. Both are kept for as long as the program runs.
fn armed() -> tokio::runtime::EnterGuard<'static> {
    let runtime: &'static Runtime = Box::leak(Box::new(
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
    ));
    runtime.block_on(async {
        let earlier = Box::leak(Box::new(Box::pin(tokio::time::sleep(LIMIT / 3))));
        assert!(futures::poll!(earlier.as_mut()).is_pending());
        tokio::task::yield_now().await;
    });
    runtime.enter()
}

/// Pending once, then ready.
struct Once(bool);

impl Future for Once {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Pending before each item.
struct Alternate(bool);

impl futures::Stream for Alternate {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<()>> {
        self.0 = !self.0;
        if self.0 { Poll::Pending } else { Poll::Ready(Some(())) }
    }
}

/// Says what is measured, before it is.
fn about(_: &mut Criterion) {
    println!(
        "timeout: a limit that does not fire, an earlier timer armed as in a busy service; ours beside tokio and tower"
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots().measurement_time(Duration::from_secs(3));
    targets = about, ready_at_once, pending_once, ten_thousand_pending, stream_item
}
criterion_main!(benches);
