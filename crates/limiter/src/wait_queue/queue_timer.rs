//! The one wake-up of a line. It wakes the line itself, not a waiter.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use outbound_timer::Timer;
use tokio::{task::coop, time::Instant};

/// A timer that is polled under the line's lock, by whoever has reason to, and wakes the line.
///
/// Its waker takes the lock, so it must never be called while the lock is held. Tokio calls a waker from within a poll or
/// a reset in two cases, and both are kept from happening: an empty cooperative budget (the poll is unconstrained), and
/// a registered timer that is moved to an instant already past (it is replaced instead).
#[derive(Debug)]
pub(super) struct QueueTimer {
    timer: Pin<Box<Timer>>,
    /// When the registered wake-up comes: not later than the timer's deadline. `None`: none is registered.
    registered: Option<Instant>,
}

impl QueueTimer {
    pub(super) fn new() -> Self {
        Self { timer: Box::pin(Timer::new()), registered: None }
    }

    /// Sees to it that `waker` is woken at `at` or before. Ready if `at` has passed. Needs a runtime.
    pub(super) fn register(&mut self, at: Instant, waker: &Waker) -> Poll<()> {
        if self.registered.is_some_and(|registered| registered > at) {
            self.clear();
        }
        if self.registered.is_some() {
            // It comes early, and is armed anew then.
            return Poll::Pending;
        }
        self.timer.as_mut().set(at);
        let poll = poll_fn(|cx| self.timer.as_mut().poll_elapsed(cx));
        let armed = pin!(coop::unconstrained(poll)).poll(&mut Context::from_waker(waker));
        self.registered = armed.is_pending().then_some(at);
        armed
    }

    /// Whether a wake-up comes at `at` or before anyway.
    pub(super) fn is_due_by(&self, at: Instant) -> bool {
        self.registered.is_some_and(|registered| registered <= at)
    }

    /// The wake-up has come. `false`: whoever waits must be woken to register the next.
    ///
    /// Tokio's never comes early, except from a runtime that is being shut down, whose timers panic when they are polled
    /// again. Such a one is given up, and the next registered by somebody whose runtime lives.
    pub(super) fn fired(&mut self, now: Instant) -> bool {
        let lives = self.registered.take().is_some_and(|registered| registered <= now);
        if !lives {
            self.clear();
        }
        lives
    }

    pub(super) fn clear(&mut self) {
        if self.timer.deadline().is_some() {
            self.timer.set(Timer::new());
        }
        self.registered = None;
    }
}
