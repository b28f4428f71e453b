//! Limits in time that do not fire.

use std::{
    convert::Infallible,
    future::{Future, pending, ready},
    hint::black_box,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::{Either, select};
use futures_lite::FutureExt;
use tower::{BoxError, Service, timeout::Timeout, util::service_fn};

use crate::case::{Case, Group};

const LIMIT: Duration = Duration::from_secs(30);

/// What is limited gives.
pub(crate) type Inner = Result<u32, Infallible>;

pub(crate) fn groups() -> Vec<Group> {
    vec![
        Group {
            name: "timeout/ready",
            about: "30 s around a future that is ready on its first poll.",
            rounds: 2_000,
            is_counted: true,
            cases: around::<1, _>(|| black_box(ready(Ok(1)))),
        },
        Group {
            name: "timeout/pending once",
            about: "30 s around a future that is pending once, then ready.",
            rounds: 2_000,
            is_counted: true,
            cases: around::<2, _>(|| black_box(Once::default())),
        },
        Group {
            name: "timeout/10k pending",
            about: "10,000 timeouts of 30 s around a future that stays pending: made, polled, dropped; each.",
            rounds: 10_000,
            is_counted: true,
            cases: vec![
                Case::among_many("outbound", || ours(LIMIT, pending::<Inner>())).ours(),
                Case::among_many("tokio", || tokio(LIMIT, pending::<Inner>())),
                Case::among_many("pingora fast_timeout", || pingora(LIMIT, pending::<Inner>())),
                Case::among_many("tower Timeout", || tower(LIMIT, pending::<Inner>())),
                Case::among_many("futures-timer, select", || futures_timer(LIMIT, pending::<Inner>())),
                Case::among_many("async-io Timer, or", || async_io(LIMIT, pending::<Inner>())),
                Case::among_many("bare", pending::<Inner>).floor(),
            ],
        },
    ]
}

fn around<const POLLS: usize, F>(inner: impl Fn() -> F + Copy + 'static) -> Vec<Case>
where
    F: Future<Output = Inner> + Unpin + 'static,
{
    vec![
        Case::polled::<POLLS, _, _, _>("outbound", move || ours(LIMIT, inner())).ours(),
        Case::polled::<POLLS, _, _, _>("tokio", move || tokio(LIMIT, inner())),
        Case::polled::<POLLS, _, _, _>("pingora fast_timeout", move || pingora(LIMIT, inner())),
        Case::polled::<POLLS, _, _, _>("tower Timeout", move || tower(LIMIT, inner())),
        Case::polled::<POLLS, _, _, _>("futures-timer, select", move || futures_timer(LIMIT, inner())),
        Case::polled::<POLLS, _, _, _>("async-io Timer, or", move || async_io(LIMIT, inner())),
        Case::polled::<POLLS, _, _, _>("bare", inner).floor(),
    ]
}

pub(crate) fn ours<F: Future>(
    limit: Duration,
    inner: F,
) -> impl Future<Output = Result<F::Output, outbound_timeout::Elapsed>> {
    outbound_timeout::timeout(limit, inner)
}

pub(crate) fn tokio<F: Future>(
    limit: Duration,
    inner: F,
) -> impl Future<Output = Result<F::Output, tokio::time::error::Elapsed>> {
    tokio::time::timeout(limit, inner)
}

pub(crate) fn pingora<F: Future>(
    limit: Duration,
    inner: F,
) -> impl Future<Output = Result<F::Output, pingora_timeout::Elapsed>> {
    pingora_timeout::timeout(limit, inner)
}

pub(crate) fn tower<F: Future<Output = Inner>>(
    limit: Duration,
    inner: F,
) -> impl Future<Output = Result<u32, BoxError>> {
    // The service hands out the future it is called with.
    Timeout::new(service_fn(|inner: F| inner), limit).call(inner)
}

/// `select`, with the match that makes its output a result.
pub(crate) async fn futures_timer<F: Future + Unpin>(limit: Duration, inner: F) -> Result<F::Output, ()> {
    match select(inner, futures_timer::Delay::new(limit)).await {
        Either::Left((output, _)) => Ok(output),
        Either::Right(_) => Err(()),
    }
}

pub(crate) fn async_io<F: Future>(limit: Duration, inner: F) -> impl Future<Output = Result<F::Output, ()>> {
    let late = async move {
        async_io::Timer::after(limit).await;
        Err(())
    };
    async move { Ok(inner.await) }.or(late)
}

/// Pending once, then ready.
#[derive(Default)]
struct Once(bool);

impl Future for Once {
    type Output = Inner;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Inner> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(Ok(1)) } else { Poll::Pending }
    }
}
