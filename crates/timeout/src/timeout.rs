use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use outbound_timer::Timer;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{Deadline, Elapsed, Limit};

/// Gives `future` so long to finish, counted from its first `Pending`.
///
/// The output is `Ok` with the future's own, or [`Elapsed`] with [`Limit::Duration`]. See [`Timeout`].
#[inline]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout::new(future.into_future(), Some(duration), Deadline::NEVER)
}

/// Gives `future` until `deadline` to finish: an [`Instant`], an `Option` of one, or a [`Deadline`].
///
/// The output is `Ok` with the future's own, or [`Elapsed`] with [`Limit::Deadline`]. See [`Timeout`].
#[inline]
pub fn timeout_at<F: IntoFuture>(deadline: impl Into<Deadline>, future: F) -> Timeout<F::IntoFuture> {
    Timeout::new(future.into_future(), None, deadline.into())
}

pin_project! {
    /// A future with a limit in time; made by [`timeout`], [`timeout_at`] and [`TimeoutExt`](crate::TimeoutExt).
    ///
    /// Any number of limits on one future are one `Timeout` with one timer: at most one duration counts, the shortest,
    /// and at most one deadline, the earliest.
    ///
    /// Dropping this future drops the limited future and the wake-up. After an [`Elapsed`] the limited future is still
    /// there: polling on polls it again and gives its result, should it come, or `Elapsed` again.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        limits: Limits,
        // Unset until the first `Pending`; then at the end of whichever limit comes first.
        #[pin]
        timer: Timer,
    }
}

/// The part of [`Timeout`] that does not depend on the future, compiled once.
#[derive(Clone, Copy, Debug)]
struct Limits {
    duration: Option<Duration>,
    deadline: Deadline,
    elapsed: bool,
}

impl<F> Timeout<F> {
    #[inline]
    const fn new(future: F, duration: Option<Duration>, deadline: Deadline) -> Self {
        let limits = Limits { duration, deadline, elapsed: false };
        Self { future, limits, timer: Timer::new() }
    }

    /// Adds a limit of so long from the first `Pending`; the shorter of two such limits counts. No further timer.
    #[inline]
    pub fn timeout(mut self, duration: Duration) -> Self {
        self.limits.duration = Some(self.limits.duration.map_or(duration, |other| other.min(duration)));
        self
    }

    /// Adds a deadline; the earlier of two counts. No further timer.
    #[inline]
    pub fn deadline(mut self, deadline: impl Into<Deadline>) -> Self {
        self.limits.deadline = self.limits.deadline.min(deadline);
        self
    }

    /// Replaces all limits by this deadline, from the next poll on. For "so long from now" use [`Deadline::after`]; for
    /// no limit any more, [`Deadline::NEVER`].
    ///
    /// It may be called while the future runs, and also after it has elapsed, to wait on.
    pub fn reset(self: Pin<&mut Self>, deadline: impl Into<Deadline>) {
        let mut this = self.project();
        let deadline = deadline.into();
        *this.limits = Limits { duration: None, deadline, elapsed: false };
        match deadline.instant() {
            Some(at) => this.timer.as_mut().set(at),
            None => this.timer.as_mut().clear(),
        }
    }

    /// Whether it has given [`Elapsed`], since it was made or last [`reset`](Self::reset).
    pub const fn is_elapsed(&self) -> bool {
        self.limits.elapsed
    }

    /// When the limit in force ends. [`Deadline::NEVER`] while only a duration is set and it has not started.
    pub fn expires(&self) -> Deadline {
        self.timer.deadline().map_or(self.limits.deadline, Deadline::at)
    }

    /// The limited future.
    pub const fn get_ref(&self) -> &F {
        &self.future
    }

    /// The limited future.
    pub const fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }

    /// The limited future, pinned.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut F> {
        self.project().future
    }

    /// The limited future, without its limits.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if this.limits.poll(this.timer.as_mut(), cx).is_pending() {
            return Poll::Pending;
        }
        this.limits.elapsed = true;
        Poll::Ready(Err(this.limits.error(this.timer.deadline())))
    }
}

impl Limits {
    fn poll(&self, mut timer: Pin<&mut Timer>, cx: &mut Context<'_>) -> Poll<()> {
        if timer.deadline().is_some() {
            return timer.poll_elapsed(cx);
        }
        // The first `Pending`, or there is nothing to wait for.
        let now = Instant::now();
        let Some(end) = self.end(now) else { return Poll::Pending };
        timer.as_mut().set(end);
        timer.poll_elapsed_at(cx, now)
    }

    /// When the limit in force ends, if its time starts now.
    #[inline]
    fn end(&self, now: Instant) -> Option<Instant> {
        let duration = self.duration.and_then(|duration| now.checked_add(duration));
        match self.deadline.instant() {
            None => duration,
            Some(deadline) => Some(duration.map_or(deadline, |duration| duration.min(deadline))),
        }
    }

    #[cold]
    fn error(&self, end: Option<Instant>) -> Elapsed {
        match self.duration {
            // Equal ends are the deadline's: it was there first.
            Some(duration) if end != self.deadline.instant() => Elapsed::new(Limit::Duration, Some(duration)),
            _ => Elapsed::new(Limit::Deadline, None),
        }
    }
}
