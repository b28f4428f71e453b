//! A future with limits: any number of them, on one timer.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use outbound_timer::Timer;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{Deadline, Elapsed, Limit};

/// Gives `future` this much time to finish, counted from its first `Pending`.
///
/// The output is `Ok` with the output of the future, or [`Elapsed`] with [`Limit::Duration`]. See [`Timeout`].
#[inline]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout::new(future.into_future(), Some(duration), Deadline::NEVER)
}

/// Gives `future` until `deadline` to finish: an [`Instant`], an `Option` of one, or a [`Deadline`].
///
/// The output is `Ok` with the output of the future, or [`Elapsed`] with [`Limit::Deadline`]. See [`Timeout`].
#[inline]
pub fn timeout_at<F: IntoFuture>(deadline: impl Into<Deadline>, future: F) -> Timeout<F::IntoFuture> {
    Timeout::new(future.into_future(), None, deadline.into())
}

pin_project! {
    /// A future with a limit in time; made by [`timeout`], [`timeout_at`] and [`TimeoutExt`](crate::TimeoutExt).
    ///
    /// Any number of limits on one future make one `Timeout` with one timer. Of several durations the shortest counts,
    /// and of several deadlines the earliest.
    ///
    /// Dropping this future drops the limited future and the wake-up. After an [`Elapsed`] the limited future is still
    /// there. It can be polled on, and gives its result if it is ready, or `Elapsed` again.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        limits: Limits,
        // It holds the deadline. From the first `Pending` on it holds the end of the limit that comes first.
        #[pin]
        timer: Timer,
    }
}

/// The part of [`Timeout`] that does not depend on the type of the future, so that it is compiled once. The deadline is
/// in the timer.
///
/// It is one word, because every `Timeout` has one. From the highest bit on it has three flags, 31 bits for the seconds
/// of the duration, and 30 bits for its nanoseconds.
#[derive(Clone, Copy)]
struct Limits(u64);

impl Limits {
    /// The time of the duration has started, or there is no duration.
    const STARTED: u64 = 1 << 63;
    /// The duration has started, and ends before the deadline. If both end at the same instant, the deadline counts.
    const DURATION_IS_FIRST: u64 = 1 << 62;
    const ELAPSED: u64 = 1 << 61;
    /// No duration. A second never has this many nanoseconds, so no real duration looks like this. A duration of 68 years
    /// or more is stored as this too.
    const NONE: u64 = Self::STARTED | (Self::ELAPSED - 1);
    const MAX_SECS: u64 = (1 << 31) - 1;
    const MAX_NANOS: u64 = (1 << 30) - 1;

    #[inline]
    const fn new(duration: Option<Duration>) -> Self {
        match duration {
            Some(duration) if duration.as_secs() < Self::MAX_SECS => {
                Self(duration.as_secs() << 30 | duration.subsec_nanos() as u64)
            }
            _ => Self(Self::NONE),
        }
    }

    const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    #[inline]
    const fn duration(self) -> Option<Duration> {
        let none = self.0 & Self::MAX_NANOS == Self::MAX_NANOS;
        if none { None } else { Some(self.length()) }
    }

    /// The duration. Meaningless where there is none.
    #[inline]
    const fn length(self) -> Duration {
        Duration::new((self.0 >> 30) & Self::MAX_SECS, (self.0 & Self::MAX_NANOS) as u32)
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("duration", &self.duration())
            .field("is_started", &self.has(Self::STARTED))
            .field("is_elapsed", &self.has(Self::ELAPSED))
            .finish_non_exhaustive()
    }
}

impl<F> Timeout<F> {
    #[inline]
    const fn new(future: F, duration: Option<Duration>, deadline: Deadline) -> Self {
        Self { future, limits: Limits::new(duration), timer: Timer::at(deadline.instant()) }
    }

    /// Adds a limit of this duration, counted from the first `Pending`. Of two durations the shorter counts. It needs no
    /// further timer.
    #[inline]
    pub fn timeout(mut self, duration: Duration) -> Self {
        let shortest = self.limits.duration().map_or(duration, |other| other.min(duration));
        self.limits = Limits::new(Some(shortest));
        self
    }

    /// Adds a deadline. Of two deadlines the earlier counts. It needs no further timer.
    #[inline]
    pub fn deadline(mut self, deadline: impl Into<Deadline>) -> Self {
        self.timer = Timer::at(self.expires().min(deadline).instant());
        self
    }

    /// Replaces all limits by this deadline, from the next poll on. For a duration from now use [`Deadline::after`]. To
    /// remove all limits use [`Deadline::NEVER`].
    ///
    /// It can be called while the future runs, and also after the limit has passed, to go on waiting. After the future has
    /// ended it changes nothing. To move a limit from inside, or from another task, see
    /// [`timeout_with`](crate::timeout_with).
    pub fn reset(self: Pin<&mut Self>, deadline: impl Into<Deadline>) {
        let mut this = self.project();
        *this.limits = Limits::new(None);
        match deadline.into().instant() {
            Some(at) => this.timer.as_mut().set(at),
            None => this.timer.as_mut().clear(),
        }
    }

    /// Whether it has returned [`Elapsed`] since it was made or last [`reset`](Self::reset).
    pub const fn is_elapsed(&self) -> bool {
        self.limits.has(Limits::ELAPSED)
    }

    /// When the limit ends that comes first. [`Deadline::NEVER`] while only a duration is set and it has not started.
    pub fn expires(&self) -> Deadline {
        self.timer.deadline().into()
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
        this.limits.0 |= Limits::ELAPSED;
        Poll::Ready(Err(this.limits.error()))
    }
}

impl Limits {
    fn poll(&mut self, mut timer: Pin<&mut Timer>, cx: &mut Context<'_>) -> Poll<()> {
        if self.has(Self::STARTED) {
            return timer.poll_elapsed(cx);
        }
        // The first `Pending`: the time of the duration starts.
        let now = Instant::now();
        let mut flags = Self::STARTED;
        if let Some(end) = now.checked_add(self.length())
            && timer.deadline().is_none_or(|deadline| end < deadline)
        {
            flags |= Self::DURATION_IS_FIRST;
            timer.as_mut().set(end);
        }
        self.0 |= flags;
        timer.poll_elapsed_at(cx, now)
    }

    #[cold]
    fn error(&self) -> Elapsed {
        if self.has(Self::DURATION_IS_FIRST) {
            Elapsed::new(Limit::Duration, self.duration())
        } else {
            Elapsed::new(Limit::Deadline, None)
        }
    }
}
