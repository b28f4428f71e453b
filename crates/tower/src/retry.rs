//! The layer that retries.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use outbound_retry::{
    Attempt, Call, Operation, Report, Retry,
    policy::{AnyError, Part, Rules},
};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Calls the inner service again, as a policy says; the layer of [`Retrying`].
#[derive(Clone, Copy, Debug)]
pub struct RetryLayer<P = AnyError> {
    policy: Retry<P>,
}

impl<P> RetryLayer<P> {
    /// Retries with this policy and all its settings: attempts and time, waits, the verdicts of [`when`](Retry::when)
    /// and [`when_result`](Retry::when_result), a [`budget`](Retry::budget), the hooks, and an
    /// [`attempt_timeout`](Retry::attempt_timeout), which includes an attempt's wait for the inner service.
    pub const fn new(policy: Retry<P>) -> Self {
        Self { policy }
    }
}

impl<S, P: Clone> Layer<S> for RetryLayer<P> {
    type Service = Retrying<S, P>;

    fn layer(&self, inner: S) -> Retrying<S, P> {
        Retrying { inner, policy: self.policy.clone() }
    }
}

/// A service that retries; made by [`RetryLayer`].
///
/// Each attempt has a clone of the request and of the inner service, and waits until the service is ready. The last
/// result is returned unchanged.
#[derive(Clone, Copy, Debug)]
pub struct Retrying<S, P = AnyError> {
    inner: S,
    policy: Retry<P>,
}

impl<S, P, Req> Service<Req> for Retrying<S, P>
where
    S: Service<Req> + Clone,
    P: Rules<S::Response, S::Error> + Clone,
    Req: Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Retried<S, P, Req>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Retried<S, P, Req> {
        let clone = self.inner.clone();
        // The first attempt uses the service that `poll_ready` was called on.
        let ready = std::mem::replace(&mut self.inner, clone.clone());
        let attempts = Attempts { ready: Some(ready), service: clone, request };
        Retried { call: self.policy.clone().operate(attempts) }
    }
}

/// Makes the attempts of one request.
pub(crate) struct Attempts<S, Req> {
    // The service that is ready, until the first attempt.
    ready: Option<S>,
    service: S,
    request: Req,
}

impl<S: Service<Req> + Clone, Req: Clone> Operation for Attempts<S, Req> {
    type Future = Sent<S, Req>;

    fn attempt(&mut self, _: Attempt) -> Sent<S, Req> {
        let request = self.request.clone();
        match self.ready.take() {
            Some(mut service) => Sent::Called { call: service.call(request) },
            None => Sent::Waiting { service: self.service.clone(), request: Some(request) },
        }
    }
}

impl<S: fmt::Debug, Req> fmt::Debug for Attempts<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempts").field("service", &self.service).finish_non_exhaustive()
    }
}

pin_project! {
    /// One attempt: waits for the service and calls it.
    #[project = SentProj]
    pub(crate) enum Sent<S: Service<Req>, Req> {
        // Until the service is ready.
        Waiting { service: S, request: Option<Req> },
        // The call runs.
        Called { #[pin] call: S::Future },
    }
}

impl<S: Service<Req>, Req> Future for Sent<S, Req> {
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let call = match self.as_mut().project() {
                SentProj::Called { call } => return call.poll(cx),
                SentProj::Waiting { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    service.call(request.take().expect("polled after it had failed"))
                }
            };
            self.set(Self::Called { call });
        }
    }
}

impl<S: Service<Req>, Req> fmt::Debug for Sent<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").finish_non_exhaustive()
    }
}

pin_project! {
    /// A request with its attempts; made by [`Retrying`].
    ///
    /// Dropping it drops the attempt that is under way, or ends the wait and puts the retry that was paid for back
    /// into the budget.
    #[must_use = "futures do nothing unless polled"]
    pub struct Retried<S, P, Req>
    where
        S: Service<Req>,
        P: Part,
    {
        #[pin]
        call: Call<P, Attempts<S, Req>, Sent<S, Req>>,
    }
}

impl<S: Service<Req>, P: Part, Req> Retried<S, P, Req> {
    /// The attempts and waits so far.
    pub fn report(&self) -> Report {
        self.call.report()
    }
}

impl<S, P, Req> Future for Retried<S, P, Req>
where
    S: Service<Req> + Clone,
    P: Rules<S::Response, S::Error>,
    Req: Clone,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().call.poll(cx)
    }
}

impl<S: Service<Req>, P: Part, Req> fmt::Debug for Retried<S, P, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retried").field("report", &self.report()).finish_non_exhaustive()
    }
}
