use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::{
    task::coop::{has_budget_remaining, unconstrained},
    time::{Instant, Sleep},
};

pin_project! {
    /// One wake-up at a deadline that may be set, moved and cleared while it waits.
    ///
    /// Dropping it takes the wake-up out of tokio's timer. It never elapses early.
    #[derive(Debug, Default)]
    #[must_use = "a timer does nothing unless polled"]
    pub struct Timer {
        deadline: Option<Instant>,
        // The registered wake-up. Not later than `deadline` whenever a poll has returned `Pending`.
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Timer {
    /// A timer with no deadline: it does not elapse.
    #[inline]
    pub const fn new() -> Self {
        Self::at(None)
    }

    /// A timer with this deadline, if any: [`new`](Self::new) and [`set`](Self::set) in one, before it is pinned.
    #[inline]
    pub const fn at(deadline: Option<Instant>) -> Self {
        Self { deadline, sleep: None }
    }

    /// The deadline, if one is set.
    #[inline]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// When the wake-up comes that is registered with tokio, if one is: not later than the deadline that was last
    /// waited for, and perhaps earlier. Before it the waker of the last poll is in place.
    #[inline]
    pub fn registered(&self) -> Option<Instant> {
        self.sleep.as_ref().map(Sleep::deadline)
    }

    /// Sets or moves the deadline. Takes effect at the next [`poll_elapsed`](Self::poll_elapsed).
    #[inline]
    pub fn set(self: Pin<&mut Self>, deadline: Instant) {
        *self.project().deadline = Some(deadline);
    }

    /// Takes the deadline away, and its wake-up out of tokio's timer.
    ///
    /// To move a deadline, [`set`](Self::set) it again; clearing first costs a registration.
    pub fn clear(self: Pin<&mut Self>) {
        let mut this = self.project();
        *this.deadline = None;
        this.sleep.set(None);
    }

    /// Ready once the deadline has passed, and at every poll after that until it is moved or cleared.
    /// Without a deadline it is pending and registers no waker.
    ///
    /// # Panics
    ///
    /// When it has to wait outside a tokio runtime, or in one whose time driver is not enabled or has shut down.
    #[inline]
    pub fn poll_elapsed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match (self.deadline, &self.sleep) {
            (None, _) => Poll::Pending,
            (Some(deadline), Some(_)) => self.poll_registered(cx, deadline, None),
            (Some(deadline), None) => self.register(cx, deadline, Instant::now()),
        }
    }

    /// [`poll_elapsed`](Self::poll_elapsed) for a caller that has just read the clock, which saves reading it again.
    /// `now` must not be ahead of tokio's clock, or the timer may elapse early by that much.
    ///
    /// # Panics
    ///
    /// As `poll_elapsed` does.
    #[inline(always)]
    pub fn poll_elapsed_at(self: Pin<&mut Self>, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        match (self.deadline, &self.sleep) {
            (None, _) => Poll::Pending,
            (Some(deadline), Some(_)) => self.poll_registered(cx, deadline, Some(now)),
            (Some(deadline), None) => self.register(cx, deadline, now),
        }
    }

    #[inline(always)]
    fn register(self: Pin<&mut Self>, cx: &mut Context<'_>, deadline: Instant, now: Instant) -> Poll<()> {
        // Asked before registering, so that a deadline in the past costs no registration.
        if now >= deadline {
            return Poll::Ready(());
        }
        let mut this = self.project();
        this.sleep.set(Some(tokio::time::sleep_until(wake_up(deadline, now))));
        let Some(sleep) = this.sleep.as_pin_mut() else { unreachable!("set above") };
        // Within the cooperative budget: where that is spent, this wakes the task once more, for the poll below.
        sleep.poll(cx)
    }

    fn poll_registered(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        deadline: Instant,
        now: Option<Instant>,
    ) -> Poll<()> {
        let Some(mut sleep) = self.project().sleep.as_pin_mut() else {
            unreachable!("checked by the callers")
        };
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            let woken = poll_sleep(sleep.as_mut(), cx).is_ready();
            if woken && sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            // Pending is no proof: the runtime may not have run its timers since (a poll blocked the thread).
            let now = now.unwrap_or_else(Instant::now);
            if now >= deadline {
                return Poll::Ready(());
            }
            if !woken {
                return Poll::Pending;
            }
            // That was the wake-up of a deadline since moved: go on to today's.
            sleep.as_mut().reset(wake_up(deadline, now));
        }
    }
}

/// Polls outside the task's cooperative budget where that is spent, perhaps by the guarded future: a limit must not be
/// starved by what it limits, and a `Sleep` that is refused its share wakes the task at once, which would spin until the
/// deadline.
#[inline]
fn poll_sleep(sleep: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    if has_budget_remaining() { sleep.poll(cx) } else { poll_unconstrained(sleep, cx) }
}

#[cold]
fn poll_unconstrained(sleep: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    pin!(unconstrained(sleep)).poll(cx)
}

/// When to wake for `deadline`: then, or where that is at the far end of `Instant`, at which tokio's own arithmetic
/// panics, in 30 years.
#[inline]
fn wake_up(deadline: Instant, now: Instant) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
    match deadline.checked_add(FAR) {
        Some(_) => deadline,
        None => now + FAR,
    }
}
