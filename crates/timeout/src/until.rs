//! A future that a signal can end.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

pin_project! {
    /// A future that ends early when a signal comes; made by [`TimeoutExt::until`](crate::TimeoutExt::until).
    ///
    /// The output is `Ok` with the output of the future, or `Err` with the output of the signal. The signal is polled
    /// first. So a signal that has come already ends the future before it starts, and a busy future cannot delay its
    /// signal.
    ///
    /// Dropping this future drops both. After the signal the limited future is still there, unchanged.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Until<F, S> {
        #[pin]
        future: F,
        #[pin]
        signal: S,
    }
}

impl<F, S> Until<F, S> {
    pub(crate) const fn new(future: F, signal: S) -> Self {
        Self { future, signal }
    }

    /// The limited future.
    pub const fn get_ref(&self) -> &F {
        &self.future
    }

    /// The limited future, pinned.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut F> {
        self.project().future
    }

    /// The limited future, without its signal.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future, S: Future> Future for Until<F, S> {
    type Output = Result<F::Output, S::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(signal) = this.signal.poll(cx) {
            return Poll::Ready(Err(signal));
        }
        this.future.poll(cx).map(Ok)
    }
}
