//! A limited future with one error type: the future's own and the limit's are joined.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::Elapsed;

pin_project! {
    /// A limited future with one error type for its own error and that of the limit; made by
    /// [`TimeoutExt::joined`](crate::TimeoutExt::joined).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Joined<F> {
        #[pin]
        future: F,
    }
}

impl<F> Joined<F> {
    pub(crate) const fn new(future: F) -> Self {
        Self { future }
    }

    /// The limited future, with its limit.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F, T, E> Future for Joined<F>
where
    F: Future<Output = Result<Result<T, E>, Elapsed>>,
    E: From<Elapsed>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx).map(|result| result.unwrap_or_else(|elapsed| Err(elapsed.into())))
    }
}
