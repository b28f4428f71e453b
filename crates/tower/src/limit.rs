//! The layer that limits concurrency, a rate or a quota.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::BoxError;

mod reserve;

pub use reserve::{QuotaShare, Reserve};

/// Lets requests through as a limiter allows; the layer of [`Limit`].
///
/// The limiter is a handle: all services that the layer makes, and all their clones, share the same limit.
#[derive(Clone, Copy, Debug)]
pub struct LimitLayer<L> {
    limiter: L,
}

impl<L: Reserve> LimitLayer<L> {
    /// Uses this limiter: a [`ConcurrencyLimiter`](outbound_limiter::ConcurrencyLimiter), a
    /// [`RateLimiter`](outbound_limiter::RateLimiter), or a [`QuotaShare`] of a quota.
    pub const fn new(limiter: L) -> Self {
        Self { limiter }
    }
}

impl<S, L: Reserve> Layer<S> for LimitLayer<L> {
    type Service = Limit<S, L>;

    fn layer(&self, inner: S) -> Limit<S, L> {
        Limit { inner, limiter: self.limiter.clone(), state: ReserveState::None }
    }
}

/// A service under a limit; made by [`LimitLayer`].
///
/// A permit is held until the response future has finished or is dropped. It does not span a body that is read later.
pub struct Limit<S, L: Reserve> {
    inner: S,
    limiter: L,
    state: ReserveState<L::Reserved>,
}

type Reserving<R> = Pin<Box<dyn Future<Output = Result<R, BoxError>> + Send + Sync>>;

enum ReserveState<R> {
    // Nothing was reserved.
    None,
    // Waits in the limiter's queue. Boxed, because a service can be moved. A limiter with room is not waited for.
    Waiting(Reserving<R>),
    // Reserved for the next call.
    Reserved(R),
}

impl<S, L, Req> Service<Req> for Limit<S, L>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    L: Reserve,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Limited<S::Future, L::Sent>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // The limiter comes last, so that its permit is not held while the inner service is waited for.
        ready!(self.inner.poll_ready(cx)).map_err(Into::into)?;
        loop {
            self.state = match &mut self.state {
                ReserveState::Reserved(_) => return Poll::Ready(Ok(())),
                ReserveState::None => match self.limiter.try_reserve() {
                    Some(reserved) => ReserveState::Reserved(reserved),
                    None => ReserveState::Waiting(Box::pin(self.limiter.reserve())),
                },
                ReserveState::Waiting(reserving) => {
                    let reserved = ready!(reserving.as_mut().poll(cx));
                    self.state = ReserveState::None;
                    ReserveState::Reserved(reserved?)
                }
            };
        }
    }

    /// # Panics
    ///
    /// When [`poll_ready`](Self::poll_ready) has not been ready since the last call.
    fn call(&mut self, request: Req) -> Limited<S::Future, L::Sent> {
        let ReserveState::Reserved(reserved) = std::mem::replace(&mut self.state, ReserveState::None) else {
            panic!("`Limit` called before it was ready")
        };
        // Before the call, because the inner service may send at once.
        let sent = self.limiter.sent(reserved);
        Limited { call: self.inner.call(request), sent: Some(sent) }
    }
}

impl<S: Clone, L: Reserve> Clone for Limit<S, L> {
    /// The clone has the same limit, and nothing reserved.
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), limiter: self.limiter.clone(), state: ReserveState::None }
    }
}

impl<S: fmt::Debug, L: Reserve + fmt::Debug> fmt::Debug for Limit<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit")
            .field("inner", &self.inner)
            .field("limiter", &self.limiter)
            .field("is_reserved", &matches!(self.state, ReserveState::Reserved(_)))
            .finish()
    }
}

pin_project! {
    /// A call that holds what the limiter gave it; made by [`Limit`].
    ///
    /// Dropping it drops the call and gives the permit back.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Limited<F, H> {
        #[pin]
        call: F,
        sent: Option<H>,
    }
}

impl<F, H, T, E> Future for Limited<F, H>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.call.poll(cx));
        // The permit is given back before the caller sees the response.
        *this.sent = None;
        Poll::Ready(result.map_err(Into::into))
    }
}
