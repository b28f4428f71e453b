//! The part of a policy that limits each attempt in time.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use outbound_timer::Timer;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{AnyError, Judge, Part};
use crate::{Budget, Elapsed, Ended, Verdict};

/// Drops an attempt that is not done by its deadline; see [`Retry::attempt_timeout`](crate::Retry::attempt_timeout).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptTimeout<P = AnyError> {
    pub(crate) policy: P,
    pub(crate) timeout: Duration,
}

impl<T, E, P: Judge<T, E>> Judge<T, E> for AttemptTimeout<P> {
    delegate!(verdict, after_attempt, stop, wait, before_sleep);
}

impl<P: Part> Part for AttemptTimeout<P> {
    type Limit = TimeLimit;

    fn attempt_timeout(&self) -> Option<Duration> {
        Some(self.timeout)
    }

    fn budget(&self) -> Option<&Budget> {
        self.policy.budget()
    }
}

/// The limit of an attempt under way.
#[diagnostic::on_unimplemented(
    message = "an attempt that takes too long has no error of the type `{E}`",
    label = "`attempt_timeout` makes an error of `outbound_retry::Elapsed`; this needs `{E}: From<outbound_retry::Elapsed>`"
)]
pub trait Limit<T, E> {
    /// The limit of an attempt with this deadline.
    fn at(deadline: Option<Instant>) -> Self;

    /// Ready with the result of the attempt once its deadline has passed.
    fn poll_elapsed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, E>>;
}

/// The attempt has no limit.
#[derive(Debug)]
pub struct NoLimit;

impl<T, E> Limit<T, E> for NoLimit {
    fn at(_: Option<Instant>) -> Self {
        Self
    }

    fn poll_elapsed(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<T, E>> {
        Poll::Pending
    }
}

pin_project! {
    /// A timer limits the attempt.
    #[derive(Debug)]
    pub struct TimeLimit {
        #[pin]
        timer: Timer,
    }
}

impl<T, E: From<Elapsed>> Limit<T, E> for TimeLimit {
    fn at(deadline: Option<Instant>) -> Self {
        Self { timer: Timer::at(deadline) }
    }

    fn poll_elapsed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        self.project().timer.poll_elapsed(cx).map(|()| Err(Elapsed.into()))
    }
}
