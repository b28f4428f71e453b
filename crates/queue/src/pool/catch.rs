//! A future whose panics are results.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

pin_project! {
    #[must_use = "futures do nothing unless polled"]
    pub(super) struct CatchUnwind<F> {
        // `None` once it has ended: its drop is part of what may panic.
        #[pin]
        future: Option<F>,
    }
}

#[derive(Debug)]
pub(super) struct Panicked;

impl<F> CatchUnwind<F> {
    pub(super) fn new(future: F) -> Self {
        Self { future: Some(future) }
    }
}

impl<F: Future> Future for CatchUnwind<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut future = self.project().future;
        let running = future.as_mut().as_pin_mut().expect("a handler was polled after it was ready");
        // What the future shares with others is behind locks that put up with a panic; the rest goes with it.
        let polled = match catch_unwind(AssertUnwindSafe(|| running.poll(cx))) {
            Ok(polled) => Ok(ready!(polled)),
            Err(_) => Err(Panicked),
        };
        let dropped = catch_unwind(AssertUnwindSafe(|| future.set(None))).map_err(|_| Panicked);
        Poll::Ready(polled.and_then(|output| dropped.map(|()| output)))
    }
}
