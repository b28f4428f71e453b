//! The one type of this crate: a deadline, and the wake-up that is registered for it.

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
    /// It never elapses early. Dropping it takes the wake-up out of tokio's timer.
    #[derive(Debug, Default)]
    #[must_use = "a timer does nothing unless polled"]
    pub struct Timer {
        deadline: Option<Instant>,
        // The wake-up that is registered with tokio. After a poll that returned `Pending` it is never later than
        // `deadline`.
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Timer {
    /// A timer without a deadline: it does not elapse.
    #[inline]
    pub const fn new() -> Self {
        Self::at(None)
    }

    /// A timer with this deadline, if any. It is [`new`](Self::new) and [`set`](Self::set) in one call, before pinning.
    #[inline]
    pub const fn at(deadline: Option<Instant>) -> Self {
        Self { deadline, sleep: None }
    }

    /// The deadline, if one is set.
    #[inline]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The instant of the wake-up that is registered with tokio, if there is one. It is not later than the deadline of
    /// the last poll that waited, and may be earlier. At this instant the waker of the last poll is woken.
    #[inline]
    pub fn registered(&self) -> Option<Instant> {
        self.sleep.as_ref().map(Sleep::deadline)
    }

    /// Sets or moves the deadline. It takes effect at the next [`poll_elapsed`](Self::poll_elapsed).
    #[inline]
    pub fn set(self: Pin<&mut Self>, deadline: Instant) {
        *self.project().deadline = Some(deadline);
    }

    /// Removes the deadline, and takes its wake-up out of tokio's timer.
    ///
    /// To move a deadline, [`set`](Self::set) it again. Clearing it before would cost one more registration.
    pub fn clear(self: Pin<&mut Self>) {
        let mut this = self.project();
        *this.deadline = None;
        this.sleep.set(None);
    }

    /// Ready once the deadline has passed, and at every later poll until the deadline is moved or cleared.
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

    /// As [`poll_elapsed`](Self::poll_elapsed), for a caller that has just read the clock. It saves a second reading.
    /// If `now` is ahead of tokio's clock, the timer may elapse early by the difference.
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
        // Checked before registering, so that a deadline in the past costs no registration.
        if now >= deadline {
            return Poll::Ready(());
        }
        let mut this = self.project();
        this.sleep.set(Some(tokio::time::sleep_until(wake_up(deadline, now))));
        let Some(sleep) = this.sleep.as_pin_mut() else { unreachable!("set above") };
        // This poll is subject to the cooperative budget. Where the budget is spent it wakes the task once more, and
        // that poll goes through `poll_registered`.
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
            // A pending `Sleep` is no proof: where a poll blocked the thread, the runtime has not run its timers.
            let now = now.unwrap_or_else(Instant::now);
            if now >= deadline {
                return Poll::Ready(());
            }
            if !woken {
                return Poll::Pending;
            }
            // The wake-up was for an earlier deadline, which has been moved. Register the current one.
            sleep.as_mut().reset(wake_up(deadline, now));
        }
    }
}

/// Polls outside the task's cooperative budget where the budget is spent. The limited future may have spent it, and must
/// not starve its own limit. Besides, a `Sleep` without budget wakes the task at once, so the task would spin until the
/// deadline.
#[inline]
fn poll_sleep(sleep: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    if has_budget_remaining() { sleep.poll(cx) } else { poll_unconstrained(sleep, cx) }
}

#[cold]
fn poll_unconstrained(sleep: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    pin!(unconstrained(sleep)).poll(cx)
}

/// The instant to wake at for `deadline`. It is `deadline` itself, or 30 years from now where `deadline` is so near the
/// end of the range of `Instant` that tokio's own arithmetic would panic.
#[inline]
fn wake_up(deadline: Instant, now: Instant) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
    match deadline.checked_add(FAR) {
        Some(_) => deadline,
        None => now + FAR,
    }
}
