//! A future that turns panics into errors.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

pin_project! {
    #[must_use = "futures do nothing unless polled"]
    pub(super) struct CatchUnwind<F> {
        // `None` once it has ended. It is dropped here, because its drop may panic too.
        #[pin]
        future: Option<F>,
    }
}

/// The message of a panic.
#[derive(Debug)]
pub(super) struct Panicked(pub(super) String);

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
        let polled = match catch(|| running.poll(cx)) {
            Ok(polled) => Ok(ready!(polled)),
            Err(panicked) => Err(panicked),
        };
        let dropped = catch(|| future.set(None));
        Poll::Ready(polled.and_then(|output| dropped.map(|()| output)))
    }
}

/// Calls `f` and catches its panic. This is sound: what `f` shares with other code is behind locks that survive a panic,
/// and the rest is dropped.
pub(super) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| Panicked(message(payload)))
}

fn message(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => match payload.downcast_ref::<&str>() {
            Some(message) => (*message).to_owned(),
            None => "a panic without a message".to_owned(),
        },
    }
}
