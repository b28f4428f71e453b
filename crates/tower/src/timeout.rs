//! The layer that limits the time of each call.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::BoxError;

/// Limits each call in time; the layer of [`Timeout`].
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    duration: Duration,
}

impl TimeoutLayer {
    /// This much time for each call, from the first `Pending` of its future.
    pub const fn new(duration: Duration) -> Self {
        Self { duration }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout { inner, duration: self.duration }
    }
}

/// A service whose calls are limited in time; made by [`TimeoutLayer`].
///
/// The wait until the inner service is ready is not limited. To limit it too, put this layer around a service that
/// waits inside its calls, such as one with [`RetryLayer`](crate::RetryLayer).
#[derive(Clone, Copy, Debug)]
pub struct Timeout<S> {
    inner: S,
    duration: Duration,
}

impl<S, Req> Service<Req> for Timeout<S>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Timed<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Timed<S::Future> {
        Timed { call: outbound_timeout::timeout(self.duration, self.inner.call(request)) }
    }
}

pin_project! {
    /// A call that is limited in time; made by [`Timeout`].
    ///
    /// No allocation, and one timer. Dropping it drops the call.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Timed<F> {
        #[pin]
        call: outbound_timeout::Timeout<F>,
    }
}

impl<F, T, E> Future for Timed<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().call.poll(cx).map(|result| result?.map_err(Into::into))
    }
}
